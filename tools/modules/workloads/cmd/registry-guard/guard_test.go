package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

const (
	audience  = "registry.test:5000"
	publisher = "spiffe://factory.test/ns/team-a/sa/publish"
	attestor  = "spiffe://factory.test/ns/tekton-chains/sa/tekton-chains-controller"
	reader    = "spiffe://factory.test/ns/ssf-verifier/sa/verifier"
)

var (
	hash        = strings.Repeat("0", 64)
	digest      = "sha256:" + hash
	attestation = "sha256-" + hash + ".att"
	key         = bytes.Repeat([]byte("k"), 32)
)

// issuer is a SPIRE of the test's own.
type issuer struct {
	signer  jose.Signer
	bundles *jwtbundle.Bundle
}

func newIssuer(t *testing.T, domain string) issuer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	options := (&jose.SignerOptions{}).WithHeader("kid", "one")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, options)
	if err != nil {
		t.Fatal(err)
	}
	bundle := jwtbundle.New(spiffeid.RequireTrustDomainFromString(domain))
	if err := bundle.AddJWTAuthority("one", private.Public()); err != nil {
		t.Fatal(err)
	}
	return issuer{signer: signer, bundles: bundle}
}

type claims struct {
	subject, audience string
	expiry            time.Duration
}

func (i issuer) token(t *testing.T, given claims) string {
	t.Helper()
	if given.audience == "" {
		given.audience = audience
	}
	if given.expiry == 0 {
		given.expiry = time.Minute
	}
	token, err := jwt.Signed(i.signer).Claims(jwt.Claims{
		Subject:  given.subject,
		Audience: jwt.Audience{given.audience},
		Expiry:   jwt.NewNumericDate(time.Now().Add(given.expiry)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// store is a registry without rights: what it was sent, and manifests by path.
type store struct {
	manifests map[string][]byte
	seen      []*http.Request
}

func (s *store) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	s.seen = append(s.seen, request)
	switch request.Method {
	case http.MethodPut:
		body, _ := io.ReadAll(request.Body)
		s.manifests[request.URL.Path] = body
		writer.WriteHeader(http.StatusCreated)
	case http.MethodPost:
		writer.WriteHeader(http.StatusAccepted)
	default:
		body, found := s.manifests[request.URL.Path]
		if !found && strings.Contains(request.URL.Path, "/x/manifests/") {
			writer.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = writer.Write(body)
	}
}

type world struct {
	issuer
	store  *store
	guard  http.Handler
	logins map[string][2]string
}

func newWorld(t *testing.T) world {
	t.Helper()
	made := newIssuer(t, "factory.test")
	behind := &store{manifests: map[string][]byte{}}
	server := httptest.NewServer(behind)
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	known := &callers{key: key, bundles: made.bundles, audience: audience, publisher: "publish", attestor: attestor, reader: reader}
	byToken := func(subject string) [2]string { return [2]string{"spiffe", made.token(t, claims{subject: subject})} }
	return world{issuer: made, store: behind, guard: newGuard(known, address), logins: map[string][2]string{
		"publisher": byToken(publisher),
		"attestor":  byToken(attestor),
		"reader":    byToken(reader),
		"team":      {"team-a", password(key, "team-a")},
	}}
}

func (w world) ask(login [2]string, method, path string, body ...byte) (int, string) {
	request := httptest.NewRequest(method, path, bytes.NewReader(body))
	if login[0] != "" {
		request.SetBasicAuth(login[0], login[1])
	}
	recorder := httptest.NewRecorder()
	w.guard.ServeHTTP(recorder, request)
	return recorder.Code, recorder.Body.String()
}

// The stacks make the same passwords: test/components/lib/lib.test.ts.
func TestAPasswordIsMadeOfKeyAndName(t *testing.T) {
	if made := password([]byte("key"), "team-a"); made != "RjJiANnbNdLcPvih_GgBNR07NhOGS509Mc_-zLdebXs" {
		t.Errorf("made %s", made)
	}
}

func TestNobodyUnknownGetsIn(t *testing.T) {
	w := newWorld(t)
	foreign := newIssuer(t, "factory.test")
	other := newIssuer(t, "elsewhere.test")
	good := w.logins["publisher"][1]
	for name, login := range map[string][2]string{
		"nobody":                         {},
		"a wrong password":               {"team-a", "wrong"},
		"another user's password":        {"team-b", password(key, "team-a")},
		"a user that is no team":         {"admin", password(key, "admin")},
		"the name of who reads all":      {"reader", password(key, "reader")},
		"a user without a name":          {"", password(key, "")},
		"a foreign key":                  {"spiffe", foreign.token(t, claims{subject: publisher})},
		"a foreign trust domain":         {"spiffe", other.token(t, claims{subject: "spiffe://elsewhere.test/ns/team-a/sa/publish"})},
		"a token for somebody else":      {"spiffe", w.token(t, claims{subject: publisher, audience: "sigstore"})},
		"an expired token":               {"spiffe", w.token(t, claims{subject: publisher, expiry: -time.Hour})},
		"a changed token":                {"spiffe", good[:len(good)-4] + "AAAA"},
		"no token":                       {"spiffe", ""},
		"a token as another user":        {"team-a", good},
		"the reader's account elsewhere": {"spiffe", w.token(t, claims{subject: "spiffe://factory.test/ns/team-a/sa/verifier"})},
		"the identity of a jailed stage": {"spiffe", w.token(t, claims{subject: "spiffe://factory.test/ns/team-a/sa/build"})},
		"a namespace that is no team's":  {"spiffe", w.token(t, claims{subject: "spiffe://factory.test/ns/default/sa/publish"})},
		"a longer path":                  {"spiffe", w.token(t, claims{subject: "spiffe://factory.test/x/ns/team-a/sa/publish"})},
	} {
		for _, path := range []string{"/v2/", "/v2/_catalog", "/v2/team-a/x/manifests/" + digest} {
			if status, body := w.ask(login, http.MethodGet, path); status != http.StatusUnauthorized || !strings.Contains(body, "SSF-REGISTRY-001") {
				t.Errorf("%s reads %s: %d %s", name, path, status, body)
			}
		}
	}
	if len(w.store.seen) > 0 {
		t.Errorf("the registry was asked %d times", len(w.store.seen))
	}
	for name, login := range w.logins {
		if status, _ := w.ask(login, http.MethodGet, "/v2/"); status != http.StatusOK {
			t.Errorf("%s is refused: %d", name, status)
		}
	}
	for _, seen := range w.store.seen {
		if seen.Header.Get("Authorization") != "" {
			t.Error("the registry was given a login")
		}
	}
}

func TestRights(t *testing.T) {
	const own, others = "/v2/team-a/x", "/v2/team-b/x"
	yes := map[string]bool{}
	for _, all := range []string{"reader", "attestor"} {
		yes[all+" reads own"], yes[all+" reads others"] = true, true
	}
	yes["team reads own"], yes["publisher reads own"] = true, true
	yes["publisher uploads own"], yes["publisher tags own"], yes["publisher pushes own"] = true, true, true
	yes["attestor uploads own"], yes["attestor uploads others"] = true, true
	yes["attestor attests own"], yes["attestor attests others"] = true, true
	w := newWorld(t)
	w.store.manifests["/v2/team-a/x/manifests/"+digest] = []byte("{}")
	w.store.manifests["/v2/team-b/x/manifests/"+digest] = []byte("{}")
	for name, login := range w.logins {
		for whose, base := range map[string]string{"own": own, "others": others} {
			for does, request := range map[string][2]string{
				"reads":   {http.MethodGet, "/manifests/" + digest},
				"uploads": {http.MethodPost, "/blobs/uploads/"},
				"pushes":  {http.MethodPut, "/manifests/" + digest},
				"tags":    {http.MethodPut, "/manifests/new-" + name},
				"attests": {http.MethodPut, "/manifests/" + attestation},
			} {
				status, body := w.ask(login, request[0], base+request[1], []byte("{}")...)
				attempt := name + " " + does + " " + whose
				if allowed := status < 300; allowed != yes[attempt] || (!allowed && !strings.Contains(body, "SSF-REGISTRY-002")) {
					t.Errorf("%s: %d %s", attempt, status, body)
				}
			}
		}
	}
}

func TestNothingIsDeleted(t *testing.T) {
	w := newWorld(t)
	for name, login := range w.logins {
		for _, path := range []string{"manifests/" + digest, "blobs/" + digest, "blobs/uploads/abc"} {
			if status, body := w.ask(login, http.MethodDelete, "/v2/team-a/x/"+path); status != http.StatusMethodNotAllowed || !strings.Contains(body, "SSF-REGISTRY-003") {
				t.Errorf("%s deletes %s: %d %s", name, path, status, body)
			}
		}
	}
}

func TestOnlyKnownPathsReachTheRegistry(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{
		"/v2/_catalog",
		"/v2/team-a/x/manifests/",
		"/v2/team-a/x/manifests/a%2fb",
		"/v2/team-a%2f..%2fteam-b/x/manifests/" + digest,
		"/v2/team-a/../team-b/x/manifests/" + digest,
		"/v2/team-a//x/manifests/" + digest,
		"/v2/Team-a/x/manifests/" + digest,
		"/v2/team-a/x/blobs/" + digest + "/more",
		"/v2/team-a/x",
		"/debug/vars",
	} {
		if status, body := w.ask(w.logins["reader"], http.MethodGet, path); status != http.StatusForbidden || !strings.Contains(body, "SSF-REGISTRY-004") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if len(w.store.seen) > 0 {
		t.Errorf("the registry was asked for %s", w.store.seen[0].URL)
	}
	for _, path := range []string{
		"/v2/team-a/x/y/blobs/" + digest, "/v2/team-a/x/tags/list", "/v2/team-a/x/referrers/" + digest,
		"/v2/team-a/manifests/x/blobs/" + digest, "/v2/team-a/x/blobs/uploads/0-a_b=",
	} {
		if status, body := w.ask(w.logins["team"], http.MethodGet, path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestNoBlobIsTakenOverFromOthers(t *testing.T) {
	w := newWorld(t)
	path := "/v2/team-a/x/blobs/uploads/"
	body := url.Values{"mount": {digest}, "from": {"team-b/x"}}.Encode()
	request := httptest.NewRequest(http.MethodPost, path+"?"+body, strings.NewReader(body))
	request.SetBasicAuth(w.logins["publisher"][0], w.logins["publisher"][1])
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w.guard.ServeHTTP(httptest.NewRecorder(), request)
	seen := w.store.seen[len(w.store.seen)-1]
	if seen.URL.RawQuery != "" || seen.Header.Get("Content-Type") != "" {
		t.Errorf("the registry was asked for %s as %s", seen.URL, seen.Header.Get("Content-Type"))
	}
}

func layers(digests ...string) []byte {
	parts := []map[string]string{}
	for _, one := range digests {
		sum := sha256.Sum256([]byte(one))
		parts = append(parts, map[string]string{"digest": "sha256:" + hex.EncodeToString(sum[:])})
	}
	written, _ := json.Marshal(map[string]any{"layers": parts})
	return written
}

func TestWhatATagNamesStays(t *testing.T) {
	w := newWorld(t)
	put := func(who, tag string, body []byte) (int, string) {
		return w.ask(w.logins[who], http.MethodPut, "/v2/team-a/x/manifests/"+tag, body...)
	}
	referrers := "sha256-" + hash
	for _, step := range []struct {
		who, tag string
		body     []byte
		code     string
	}{
		{"publisher", "v1", layers("a"), ""},
		{"publisher", "v1", layers("a"), ""},
		{"publisher", "v1", layers("a", "b"), "SSF-REGISTRY-005"},
		{"publisher", "v2", layers("a", "b"), ""},
		{"publisher", referrers, layers("a"), ""},
		{"publisher", referrers, layers("b", "a"), ""},
		{"publisher", referrers, layers("b"), "SSF-REGISTRY-005"},
		{"publisher", referrers, []byte("no JSON"), "SSF-REGISTRY-006"},
		{"attestor", attestation, layers("one"), ""},
		{"attestor", attestation, layers("one", "two"), ""},
		{"attestor", attestation, layers("two"), "SSF-REGISTRY-005"},
		{"attestor", attestation, layers(), "SSF-REGISTRY-005"},
		{"attestor", attestation, bytes.Repeat([]byte("x"), manifestLimit+1), "SSF-REGISTRY-006"},
	} {
		status, body := put(step.who, step.tag, step.body)
		if step.code == "" && status != http.StatusCreated || !strings.Contains(body, step.code) {
			t.Errorf("%s: %.60s: %d %s, expected %q", step.tag, step.body, status, body, step.code)
		}
	}
	if got := w.store.manifests["/v2/team-a/x/manifests/v1"]; !bytes.Equal(got, layers("a")) {
		t.Errorf("v1 is %s", got)
	}
}

func TestHealthIsTheRegistrysOwn(t *testing.T) {
	w := newWorld(t)
	if status, _ := w.ask([2]string{}, http.MethodGet, "/"); status != http.StatusOK || len(w.store.seen) != 1 {
		t.Errorf("answered %d after %d questions", status, len(w.store.seen))
	}
	if status, _ := w.ask([2]string{}, http.MethodPut, "/"); status != http.StatusUnauthorized {
		t.Errorf("PUT / answered %d", status)
	}
}

func TestARegistryThatIsAwayIsNotAnAnswer(t *testing.T) {
	w := newWorld(t)
	w.guard.(*guard).client = &http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
		return nil, io.ErrUnexpectedEOF
	}}}
	if status, _ := w.ask(w.logins["publisher"], http.MethodPut, "/v2/team-a/x/manifests/v1", '{', '}'); status != http.StatusBadGateway {
		t.Errorf("a tag was written unseen: %d", status)
	}
}

func TestTokensWaitForTheirKeys(t *testing.T) {
	w := newWorld(t)
	w.guard.(*guard).callers.bundles = &agentBundles{}
	if status, _ := w.ask(w.logins["publisher"], http.MethodGet, "/v2/"); status != http.StatusUnauthorized {
		t.Errorf("a token that nobody checked was taken: %d", status)
	}
	if status, _ := w.ask(w.logins["team"], http.MethodGet, "/v2/"); status != http.StatusOK {
		t.Errorf("a password waits for the keys of tokens: %d", status)
	}
}
