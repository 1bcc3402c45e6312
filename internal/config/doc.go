// Package config reads the one configuration file: strict YAML into a struct
// made of the rooms' own Config structs.
//
// In: a file, or nothing (every setting has a default). Out: a Config that has
// been checked whole, or Errors: every problem at once, each with file, line,
// key and what would be right. It knows YAML and the rooms' structs, never
// what a setting means: each room's Validate does.
//
// It holds no state and does no I/O but reading the file named to it.
package config
