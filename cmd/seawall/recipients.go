package main

import (
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
)

const (
	// leastPassphrase is how many characters a passphrase has at least: whoever
	// has the file can try as often as they like.
	leastPassphrase = 12
	// scryptWork is the binary logarithm of scrypt's work: 64 MiB and a quarter of
	// a second. age's own choice, 18, takes 256 MiB, which a small server under
	// attack may not have.
	scryptWork = 16
)

// secrecy is who may read a capture.
type secrecy struct {
	to         []string // public keys
	passphrase string   // file with one; "": none
	plain      bool     // anybody
}

// recipients reads whom a capture is encrypted for; none if it is not encrypted.
func (s *secrecy) recipients() ([]age.Recipient, error) {
	switch {
	case len(s.to) == 0 && s.passphrase == "" && !s.plain:
		return nil, usagef(`a capture holds addresses of visitors and is encrypted; say for whom:
  --to age1...            for a key (age-keygen -o key.txt makes one and prints what goes here; keep key.txt elsewhere), or an SSH key: --to "ssh-ed25519 AAAA..."
  --passphrase-file FILE  with the passphrase in a file
  --plain                 not at all`)
	case s.plain && (len(s.to) > 0 || s.passphrase != ""):
		return nil, usagef("--plain is not encrypted: leave out --to and --passphrase-file, or leave out --plain")
	case len(s.to) > 0 && s.passphrase != "":
		return nil, usagef("a capture is encrypted either for keys (--to) or with a passphrase (--passphrase-file), not both")
	case s.passphrase != "":
		r, err := passphrase(s.passphrase)
		return []age.Recipient{r}, err
	}
	var out []age.Recipient
	for _, key := range s.to {
		r, err := recipient(strings.TrimSpace(key))
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	if len(out) > 0 {
		// Some kinds of keys cannot be mixed.
		if _, err := age.Encrypt(io.Discard, out...); err != nil {
			return nil, usagef("--to: %w", err)
		}
	}
	return out, nil
}

// reading is what decrypts a capture in the file that comes next.
func (s *secrecy) reading() string {
	switch {
	case s.plain:
		return ""
	case s.passphrase != "":
		return "age -d "
	case strings.HasPrefix(s.to[0], "ssh-"):
		return "age -d -i ~/.ssh/id_ed25519 "
	}
	return "age -d -i key.txt "
}

// recipient reads a public key. Whatever else was given is not repeated: it may be
// a secret.
func recipient(key string) (age.Recipient, error) {
	var r age.Recipient
	var err error
	switch {
	case strings.HasPrefix(strings.ToUpper(key), "AGE-SECRET-KEY-"):
		return nil, usagef("--to got a secret key, which now stands in this shell's history: make another one, and give its public key (age-keygen -y key.txt prints it)")
	case strings.HasPrefix(key, "age1pq1"):
		r, err = age.ParseHybridRecipient(key)
	case strings.HasPrefix(key, "age1"):
		r, err = age.ParseX25519Recipient(key)
	case strings.HasPrefix(key, "ssh-"):
		r, err = agessh.ParseRecipient(key)
	default:
		return nil, usagef("--to takes a public key, age1... or ssh-ed25519 ...; `age-keygen -o key.txt` makes one and prints it")
	}
	if err != nil {
		return nil, usagef("--to %.20s... is no public key: %w", key, err)
	}
	return r, nil
}

// passphrase reads the first line of a file.
func passphrase(file string) (age.Recipient, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usagef("--passphrase-file: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	if n := len([]rune(line)); n < leastPassphrase {
		return nil, usagef("the passphrase in %s has %s; %d or more are needed, in its first line", file, count(n, "character"), leastPassphrase)
	}
	r, err := age.NewScryptRecipient(line)
	if err != nil {
		return nil, usagef("the passphrase in %s: %w", file, err)
	}
	r.SetWorkFactor(scryptWork)
	return r, nil
}
