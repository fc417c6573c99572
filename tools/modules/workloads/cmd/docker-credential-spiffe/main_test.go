package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const publisher = "spiffe://factory.test/ns/team-a/sa/publish"

// agent is a Workload API that does not know the workload at first.
type agent struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	signer   jose.Signer
	unknown  int32
	audience atomic.Value
}

func (a *agent) FetchJWTSVID(_ context.Context, request *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
	if atomic.AddInt32(&a.unknown, -1) >= 0 {
		return nil, status.Error(codes.PermissionDenied, "no identity issued")
	}
	a.audience.Store(strings.Join(request.Audience, " "))
	token, err := jwt.Signed(a.signer).Claims(jwt.Claims{
		Subject:  publisher,
		Audience: request.Audience,
		Expiry:   jwt.NewNumericDate(time.Now().Add(time.Minute)),
	}).Serialize()
	if err != nil {
		return nil, err
	}
	return &workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{{SpiffeId: publisher, Svid: token}}}, nil
}

func startAgent(t *testing.T, unknown int32) *agent {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "api.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	served := &agent{signer: signer, unknown: unknown}
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, served)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	t.Setenv("SPIFFE_ENDPOINT_SOCKET", "unix://"+socket)
	return served
}

func get(t *testing.T, server string, patience time.Duration) (login, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, []string{"get"}, strings.NewReader(server), &out); err != nil {
		return login{}, err
	}
	var answer login
	return answer, json.Unmarshal(out.Bytes(), &answer)
}

func TestGet(t *testing.T) {
	for _, server := range []string{"registry.test:5000\n", "https://registry.test:5000/v2/", "registry.test:5000"} {
		served := startAgent(t, 2)
		if server == "registry.test:5000" {
			t.Setenv("SPIFFE_ENDPOINT_SOCKET", strings.TrimPrefix(os.Getenv("SPIFFE_ENDPOINT_SOCKET"), "unix://"))
		}
		answer, err := get(t, server, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Username != "spiffe" || strings.Count(answer.Secret, ".") != 2 || answer.ServerURL != strings.TrimSpace(server) {
			t.Errorf("answered %+v", answer)
		}
		if audience := served.audience.Load(); audience != "registry.test:5000" {
			t.Errorf("asked for a token for %q", audience)
		}
	}
}

func TestAWorkloadWithoutIdentityGetsNothing(t *testing.T) {
	startAgent(t, 1<<30)
	if answer, err := get(t, "registry.test:5000", 2*time.Second); err == nil || !strings.Contains(err.Error(), "no token for registry.test:5000") {
		t.Errorf("answered %+v, %v", answer, err)
	}
}

func TestRefusesWhatItDoesNotDo(t *testing.T) {
	for _, arguments := range [][]string{nil, {"store"}, {"list"}, {"erase"}, {"get", "more"}} {
		if err := run(t.Context(), arguments, strings.NewReader("registry.test"), &bytes.Buffer{}); err == nil {
			t.Errorf("%v was taken", arguments)
		}
	}
	if err := run(t.Context(), []string{"get"}, strings.NewReader("\n"), &bytes.Buffer{}); err == nil {
		t.Error("no registry was taken")
	}
}
