// A credential helper, as Docker's clients call it: logs in to a registry with the workload's own identity, by a token of
// SPIRE that names the registry as its audience and lives five minutes. Nothing is stored.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

const (
	// username is that of every login by token.
	username = "spiffe"
	// patience covers the seconds in which an agent has not heard of a new workload yet.
	patience = time.Minute
	pause    = 500 * time.Millisecond
)

// login is what a helper answers, in the words of its protocol.
type login struct {
	ServerURL string
	Username  string
	Secret    string
}

// host is the registry's name without a scheme, by which both sides know it.
func host(server string) string {
	_, name, found := strings.Cut(server, "://")
	if !found {
		name = server
	}
	name, _, _ = strings.Cut(name, "/")
	return name
}

// address is the Workload API's, which Sigstore's client wants as a path and every other as an address.
func address() string {
	socket := os.Getenv("SPIFFE_ENDPOINT_SOCKET")
	if strings.HasPrefix(socket, "/") {
		return "unix://" + socket
	}
	return socket
}

// token asks the Workload API until it knows this workload, or until the context ends.
func token(ctx context.Context, audience string) (string, error) {
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(address()))
	if err != nil {
		return "", err
	}
	defer client.Close()
	for {
		svid, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audience})
		if err == nil {
			return svid.Marshal(), nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("the Workload API gives no token for %s: %w", audience, err)
		case <-time.After(pause):
		}
	}
}

func run(ctx context.Context, arguments []string, in io.Reader, out io.Writer) error {
	if len(arguments) != 1 || arguments[0] != "get" {
		return errors.New("an identity is not stored, listed or erased: the one command is get")
	}
	server, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	server = strings.TrimSpace(server)
	if host(server) == "" {
		return errors.New("name the registry on standard input")
	}
	secret, err := token(ctx, host(server))
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(login{ServerURL: server, Username: username, Secret: secret})
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		// Clients read the reason from standard output.
		fmt.Println(err)
		os.Exit(1)
	}
}
