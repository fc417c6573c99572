package main

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serving is a service, and the PEM of its authority, which is its own.
func serving(t *testing.T, answer http.HandlerFunc) (url, authority string) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(nil, &template, &template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(answer)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTakesAnAnswerForLife(t *testing.T) {
	for status, isGood := range map[int]bool{
		200: true, 204: true, 302: true, 401: true, 400: false, 403: false, 404: false, 500: false, 503: false,
	} {
		url, authority := serving(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/ping" {
				t.Errorf("asked for %s", r.URL.Path)
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		})
		s := services{urls: []string{url + "/ping"}, authorities: file(t, authority), timeout: time.Minute}
		if err := s.check(t.Context()); (err == nil) != isGood {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestNeedsEveryService(t *testing.T) {
	ok := func(http.ResponseWriter, *http.Request) {}
	first, authority := serving(t, ok)
	second, other := serving(t, ok)
	bad, another := serving(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	authorities := file(t, authority+other+another)
	if err := (services{urls: []string{first, second}, authorities: authorities, timeout: time.Minute}).check(t.Context()); err != nil {
		t.Error(err)
	}
	if (services{urls: []string{first, second}, authorities: file(t, authority), timeout: time.Minute}).check(t.Context()) == nil {
		t.Error("it takes a service for good whose authority it does not know")
	}
	err := services{urls: []string{first, bad, second}, authorities: authorities, timeout: time.Minute}.check(t.Context())
	if err == nil || !strings.Contains(err.Error(), bad) || strings.Contains(err.Error(), first) {
		t.Errorf("got %v", err)
	}
}

func TestTrustsTheGivenAuthoritiesOnly(t *testing.T) {
	url, authority := serving(t, func(http.ResponseWriter, *http.Request) {})
	for name, path := range map[string]string{
		"the system's": "",
		"none":         file(t, "no certificate"),
		"gone":         filepath.Join(t.TempDir(), "gone"),
	} {
		if err := (services{urls: []string{url}, authorities: path, timeout: time.Minute}).check(t.Context()); err == nil {
			t.Errorf("%s: it answers", name)
		}
	}
	renewed := file(t, "not yet")
	s := services{urls: []string{url}, authorities: renewed, timeout: time.Minute}
	if s.check(t.Context()) == nil {
		t.Error("it answers without an authority")
	}
	if err := os.WriteFile(renewed, []byte(authority), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWaitsForAnAnswerNotForEver(t *testing.T) {
	url, authority := serving(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := services{urls: []string{url}, authorities: file(t, authority), timeout: 50 * time.Millisecond}
	if err := s.check(t.Context()); err == nil {
		t.Error("it answers")
	}
	gone := httptest.NewTLSServer(nil)
	gone.Close()
	if err := (services{urls: []string{gone.URL}, timeout: time.Minute}).check(t.Context()); err == nil {
		t.Error("a service that is gone answers")
	}
}

func TestTakesHTTPSOnly(t *testing.T) {
	var given addresses
	for _, bad := range []string{"", "fulcio", "http://fulcio/healthz", "https:///healthz", "ftp://fulcio"} {
		if given.Set(bad) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if err := given.Set("https://fulcio.test/healthz"); err != nil || len(given) != 1 {
		t.Errorf("%v %v", given, err)
	}
}
