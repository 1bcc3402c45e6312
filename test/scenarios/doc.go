// Package scenarios runs the program as its users do, builds it first, and
// checks what it promises: visitors served through floods, and a crowd of
// visitors that is not mistaken for one.
package scenarios
