package main

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"
)

// keyPair is a certificate and its key in PEM files, read anew whenever the certificate's file is another one: cert-manager
// renews it while the guard runs. While a new pair cannot be used, the last one is shown, and each connection tries again.
type keyPair struct {
	certificate, privateKey string

	mutex   sync.Mutex
	changed time.Time
	last    *tls.Certificate
}

func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	changed, pair, err := k.read()
	switch {
	case err == nil:
		k.changed, k.last = changed, pair
	case k.last == nil:
		return nil, err
	default:
		slog.Error("the certificate cannot be read anew", "error", err.Error())
	}
	return k.last, nil
}

// read returns the last pair where its file has not changed.
func (k *keyPair) read() (time.Time, *tls.Certificate, error) {
	file, err := os.Stat(k.certificate)
	if err != nil {
		return time.Time{}, nil, err
	}
	if k.last != nil && file.ModTime().Equal(k.changed) {
		return k.changed, k.last, nil
	}
	pair, err := tls.LoadX509KeyPair(k.certificate, k.privateKey)
	return file.ModTime(), &pair, err
}
