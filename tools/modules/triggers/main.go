// The webhook of one team: takes the pushes that its forge announces, vouches for events when the event listener asks,
// and sends the events of a schedule.
//
//	webhook serve    ...  answers a forge on POST / and the event listener on POST /intercept
//	webhook schedule ...  looks up the branch's commit and sends it to the event listener, once
//
// A forge signs with one key, what reaches the event listener is signed with another. Of what a forge says, only the
// repository, the branch and the commit count; nothing else of it goes any further.
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

const (
	signatureHeader = "X-Hub-Signature-256"
	pushLimit       = 4 << 20
	interceptLimit  = 64 << 10
)

var (
	commitPattern = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	eventPattern  = map[string]*regexp.Regexp{
		"push":     regexp.MustCompile(`^[0-9a-f]{24}$`),
		"schedule": regexp.MustCompile(`^[0-9]{1,12}$`),
	}
	jobNumber = regexp.MustCompile(`-([0-9]{1,12})$`)
)

// event is all that the event listener is told.
type event struct {
	Commit  string `json:"commit"`
	Event   string `json:"event"`
	Trigger string `json:"trigger"`
}

func (e event) valid() bool {
	pattern, known := eventPattern[e.Trigger]
	return known && pattern.MatchString(e.Event) && commitPattern.MatchString(e.Commit)
}

// source is what the team builds by itself, and where its events go.
type source struct {
	repository, branch, listener string
	listenerKey                  []byte
	client                       http.Client
}

func signature(key, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// isSigned compares in constant time; a header that is missing or there twice is no signature.
func isSigned(key, body []byte, header http.Header) bool {
	given := header.Values(signatureHeader)
	return len(given) == 1 && hmac.Equal([]byte(signature(key, body)), []byte(given[0]))
}

// send hands an event to the event listener, which answers before it acts.
func (s *source) send(ctx context.Context, e event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.listener, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(signatureHeader, signature(s.listenerKey, body))
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("the event listener answered %s", response.Status)
	}
	return nil
}

// answer is what a caller gets; run says whether an event was handed on.
type answer struct {
	status int
	Run    bool   `json:"run"`
	Reason string `json:"reason"`
	Event  string `json:"event,omitempty"`
}

func refuse(status int, reason string) answer { return answer{status: status, Reason: reason} }

func reply(w http.ResponseWriter, r *http.Request, a answer) {
	slog.Info(a.Reason, "path", r.URL.Path, "from", r.RemoteAddr, "status", a.status, "run", a.Run, "event", a.Event)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a)
}

// push answers a forge. Nothing of the body is read before its signature holds.
func (s *source) push(forgeKey []byte, w http.ResponseWriter, r *http.Request) answer {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, pushLimit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", pushLimit))
	case err != nil:
		return refuse(http.StatusBadRequest, "the body did not arrive whole")
	case !isSigned(forgeKey, body, r.Header):
		return refuse(http.StatusUnauthorized, signatureHeader+" is not the HMAC-SHA256 of the body by the webhook's secret")
	}

	var told struct {
		Ref        string `json:"ref"`
		After      string `json:"after"`
		Deleted    bool   `json:"deleted"`
		Repository struct {
			CloneURL string `json:"clone_url"`
		} `json:"repository"`
	}
	if err := json.Unmarshal(body, &told); err != nil {
		return refuse(http.StatusBadRequest, "the body is not the JSON of a push; set the webhook's content type to application/json")
	}
	id := sha256.Sum256(body)
	e := event{Commit: told.After, Event: hex.EncodeToString(id[:12]), Trigger: "push"}
	switch {
	case told.Repository.CloneURL != s.repository:
		return refuse(http.StatusForbidden, "the webhook is for repository "+s.repository+" only")
	case told.Ref != "refs/heads/"+s.branch || told.Deleted:
		return refuse(http.StatusAccepted, "no push to branch "+s.branch)
	case !e.valid():
		return refuse(http.StatusBadRequest, "after is no full commit id")
	}
	if err := s.send(r.Context(), e); err != nil {
		slog.Error("event not handed on", "event", e.Event, "error", err)
		return refuse(http.StatusBadGateway, "the event listener did not take the event")
	}
	return answer{status: http.StatusAccepted, Run: true, Reason: "handed to the event listener", Event: e.Event}
}

// vouch tells the event listener whether an event came from here, byte for byte.
func (s *source) vouch(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Body   string      `json:"body"`
		Header http.Header `json:"header"`
	}
	var e event
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, interceptLimit)).Decode(&asked)
	body := []byte(asked.Body)
	good := err == nil && isSigned(s.listenerKey, body, asked.Header) && json.Unmarshal(body, &e) == nil && e.valid()
	if good {
		own, err := json.Marshal(e)
		good = err == nil && bytes.Equal(own, body)
	}
	slog.Info("event vouched for", "from", r.RemoteAddr, "good", good, "event", e.Event)
	verdict := map[string]any{"continue": good}
	if !good {
		const unauthenticated = 16
		verdict["status"] = map[string]any{"code": unauthenticated, "message": "the event is not signed by the team's webhook"}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(verdict)
}

func (s *source) handler(forgeKey []byte) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) { reply(w, r, s.push(forgeKey, w, r)) })
	mux.HandleFunc("POST /intercept", s.vouch)
	return mux
}

// head is the commit that the forge's branch names. Git also lists refs that only end like the one asked for.
func (s *source) head(ctx context.Context) (string, error) {
	ref := "refs/heads/" + s.branch
	command := exec.CommandContext(ctx, "git", "ls-remote", "--", s.repository, ref)
	command.Stderr = os.Stderr
	listed, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("git ls-remote %s: %w", s.repository, err)
	}
	for line := range strings.Lines(string(listed)) {
		if commit, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); name == ref {
			return commit, nil
		}
	}
	return "", fmt.Errorf("%s has no branch %s", s.repository, s.branch)
}

// schedule sends the event of one job of a CronJob, whose name ends with the number of its time.
func (s *source) schedule(ctx context.Context, job string) error {
	number := jobNumber.FindStringSubmatch(job)
	if number == nil {
		return fmt.Errorf("job %q: its name does not end with a number", job)
	}
	commit, err := s.head(ctx)
	if err != nil {
		return err
	}
	e := event{Commit: commit, Event: number[1], Trigger: "schedule"}
	if !e.valid() {
		return fmt.Errorf("branch %s names no commit, but %q", s.branch, commit)
	}
	slog.Info("handing a scheduled event on", "event", e.Event, "commit", e.Commit)
	return s.send(ctx, e)
}

func readKey(file string) ([]byte, error) {
	key, err := os.ReadFile(file)
	if err == nil && len(key) < 32 {
		err = fmt.Errorf("%s: a key has at least 32 bytes", file)
	}
	return key, err
}

func run() error {
	if len(os.Args) < 2 {
		return errors.New("say serve or schedule")
	}
	var s source
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.StringVar(&s.repository, "repository", "", "https address of the team's repository")
	flags.StringVar(&s.branch, "branch", "", "branch that is built")
	flags.StringVar(&s.listener, "listener", "", "address of the event listener")
	listenerKeyFile := flags.String("listener-key", "", "file with the key of what reaches the event listener")
	forgeKeyFile := flags.String("forge-key", "", "file with the key of the forge; serve only")
	certificate := flags.String("certificate", "", "file with the TLS certificate; serve only")
	certificateKey := flags.String("certificate-key", "", "file with its key; serve only")
	address := flags.String("address", ":8443", "where to listen; serve only")
	job := flags.String("job", "", "name of the job; schedule only")
	_ = flags.Parse(os.Args[2:])
	if s.repository == "" || s.branch == "" || s.listener == "" {
		return errors.New("give --repository, --branch and --listener")
	}
	var err error
	if s.listenerKey, err = readKey(*listenerKeyFile); err != nil {
		return err
	}
	// No proxy of the environment, and no redirect: an event goes to the event listener or nowhere.
	s.client = http.Client{
		Timeout:       20 * time.Second,
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}

	switch os.Args[1] {
	case "schedule":
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		return s.schedule(ctx, *job)
	case "serve":
		forgeKey, err := readKey(*forgeKeyFile)
		if err != nil {
			return err
		}
		server := http.Server{
			Addr:              *address,
			Handler:           s.handler(forgeKey),
			TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12},
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       15 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       60 * time.Second,
			MaxHeaderBytes:    16 << 10,
		}
		return server.ListenAndServeTLS(*certificate, *certificateKey)
	default:
		return fmt.Errorf("%q: say serve or schedule", os.Args[1])
	}
}

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	if err := run(); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}
