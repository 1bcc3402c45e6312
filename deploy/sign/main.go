// Command sign signs a release's checksums in minisign's format, so that
// anybody can check them with `minisign -V`.
//
// SEAWALL_SIGN_KEY names an encrypted minisign secret key,
// SEAWALL_SIGN_PASSWORD opens it. Without a key it makes one for this build
// alone, and says so.
package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"

	"aead.dev/minisign"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: sign FILE")
		os.Exit(2)
	}
	if err := sign(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "sign:", err)
		os.Exit(1)
	}
}

func sign(file string) error {
	key, err := secretKey()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	public := key.Public().(minisign.PublicKey)
	signature := minisign.Sign(key, text)
	if !minisign.Verify(public, text, signature) {
		return fmt.Errorf("%s: the signature just made does not verify", file)
	}
	if err := os.WriteFile(file+".minisig", signature, 0o644); err != nil {
		return err
	}
	pub, err := public.MarshalText()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(filepath.Dir(file), "seawall.pub"), append(pub, '\n'), 0o644)
}

func secretKey() (minisign.PrivateKey, error) {
	path := os.Getenv("SEAWALL_SIGN_KEY")
	if path != "" {
		return minisign.PrivateKeyFromFile(os.Getenv("SEAWALL_SIGN_PASSWORD"), path)
	}
	fmt.Println("SEAWALL_SIGN_KEY is not set: signing with a key made for this build alone. Do not publish these files.")
	_, key, err := minisign.GenerateKey(rand.Reader)
	return key, err
}
