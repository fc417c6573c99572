// The registry's guard: the only way to a registry that itself knows no rights. A team's publishing stage pushes to the
// team's repositories, Chains attests images and the gate's verifier reads them, each by the identity that SPIRE gives it;
// passwords read, nothing more.
// Nothing is deleted, and no tag ever names something else.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

const (
	stopTimeout   = 5 * time.Second
	headerTimeout = 10 * time.Second
)

// agentBundles are those of the Workload API. Passwords are served before it answers; tokens are refused until then.
type agentBundles struct {
	source atomic.Pointer[workloadapi.JWTSource]
}

func (a *agentBundles) GetJWTBundleForTrustDomain(domain spiffeid.TrustDomain) (*jwtbundle.Bundle, error) {
	source := a.source.Load()
	if source == nil {
		return nil, errors.New("the Workload API has not answered yet")
	}
	return source.GetJWTBundleForTrustDomain(domain)
}

// follow keeps asking until the Workload API answers; from then on its source is kept up to date.
func (a *agentBundles) follow(ctx context.Context) {
	source, err := workloadapi.NewJWTSource(ctx)
	if err != nil {
		slog.Error("no keys for tokens", "error", err.Error())
		return
	}
	a.source.Store(source)
	slog.Info("knows the keys for tokens")
}

func run() error {
	known := callers{}
	address := flag.String("listen", ":5000", "address that TLS is served on")
	certificate := flag.String("certificate", "", "PEM file of the server's certificate")
	privateKey := flag.String("private-key", "", "PEM file of its key")
	keyFile := flag.String("password-key", "", "file with the key that passwords are made from")
	registry := flag.String("registry", "", "address of the registry behind the guard")
	flag.StringVar(&known.audience, "audience", "", "the registry's name, which tokens must be for")
	flag.StringVar(&known.publisher, "publisher", "", "service account that pushes to the repositories of its namespace")
	flag.StringVar(&known.attestor, "attestor", "", "SPIFFE ID that lays attestations beside images")
	flag.StringVar(&known.reader, "reader", "", "SPIFFE ID that reads every repository")
	flag.Parse()
	behind, err := url.Parse(*registry)
	if err != nil || behind.Host == "" || known.audience == "" || known.publisher == "" || known.attestor == "" || known.reader == "" || flag.NArg() > 0 {
		return errors.New("give --registry as an address, --audience, --publisher, --attestor and --reader, and nothing but flags")
	}
	pair := keyPair{certificate: *certificate, privateKey: *privateKey}
	if _, err := pair.get(nil); err != nil {
		return err
	}
	if known.key, err = os.ReadFile(*keyFile); err != nil {
		return err
	}
	if len(known.key) < 32 {
		return fmt.Errorf("%s: a key has 32 bytes or more", *keyFile)
	}

	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	bundles := &agentBundles{}
	known.bundles = bundles
	go bundles.follow(ctx)

	server := http.Server{
		Addr:              *address,
		Handler:           newGuard(&known, behind),
		ReadHeaderTimeout: headerTimeout,
		TLSConfig:         &tls.Config{GetCertificate: pair.get, MinVersion: tls.VersionTLS12},
	}
	go func() {
		<-ctx.Done()
		stopping, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		_ = server.Shutdown(stopping)
	}()
	slog.Info("serving", "address", *address, "registry", *registry)
	if err := server.ListenAndServeTLS("", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	if err := run(); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}
