package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// made returns a certificate with that serial number, and its key.
func made(t *testing.T, serial int64) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(serial)}
	raw, err := x509.CreateCertificate(rand.Reader, form, form, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bytes})
}

func TestKeyPairIsReadAnew(t *testing.T) {
	directory := t.TempDir()
	pair := keyPair{certificate: filepath.Join(directory, "tls.crt"), privateKey: filepath.Join(directory, "tls.key")}
	if _, err := pair.get(nil); err == nil {
		t.Fatal("a pair without files was shown")
	}
	age := time.Hour
	put := func(certificate, key []byte) {
		t.Helper()
		age -= time.Minute
		for file, content := range map[string][]byte{pair.certificate: certificate, pair.privateKey: key} {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			then := time.Now().Add(-age)
			if err := os.Chtimes(file, then, then); err != nil {
				t.Fatal(err)
			}
		}
	}
	expect := func(serial int64) {
		t.Helper()
		shown, err := pair.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		if found := shown.Leaf.SerialNumber.Int64(); found != serial {
			t.Fatalf("certificate %d is shown, not %d", found, serial)
		}
	}
	first, firstKey := made(t, 1)
	second, secondKey := made(t, 2)
	put(first, firstKey)
	expect(1)
	put(second, firstKey)
	expect(1)
	put(second, secondKey)
	expect(2)
	if err := os.Remove(pair.certificate); err != nil {
		t.Fatal(err)
	}
	expect(2)
}
