package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"
)

// services are what signing needs.
type services struct {
	urls        []string
	authorities string
	timeout     time.Duration
}

// check says what of them does not answer. Authorities are read each time, since they may be renewed.
func (s services) check(ctx context.Context) error {
	var roots *x509.CertPool
	if s.authorities != "" {
		pem, err := os.ReadFile(s.authorities)
		if err != nil {
			return err
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s holds no certificate", s.authorities)
		}
	}
	client := http.Client{
		Timeout: s.timeout,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	errs := make([]error, len(s.urls))
	var asked sync.WaitGroup
	for i, url := range s.urls {
		asked.Go(func() { errs[i] = answers(ctx, &client, url) })
	}
	asked.Wait()
	return errors.Join(errs...)
}

// answers takes a demand for credentials as an answer: that is how a registry says that it is there.
func answers(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if good := response.StatusCode >= 200 && response.StatusCode < 400; !good && response.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
