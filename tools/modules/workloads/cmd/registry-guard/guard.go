package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// manifestLimit is the size above which registries need not take a manifest, in bytes.
const manifestLimit = 4 << 20

// manifestTypes are those that a manifest is asked for as.
var manifestTypes = []string{
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.oci.image.index.v1+json",
	"application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
}

var (
	part = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
	// operation is what a path asks for: repository and then one of manifests, blobs, uploads, tags and referrers.
	// Whichever way a name is read that holds these words itself, its first part stays the same.
	operation = regexp.MustCompile(`^/v2/(` + part + `(?:/` + part + `)*)/` +
		`(?:(manifests)/(sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9._-]{0,127})|(blobs|referrers)/sha256:[0-9a-f]{64}|blobs/(uploads)/[A-Za-z0-9_=-]*|(tags)/list)$`)
	attestationTag = regexp.MustCompile(`^sha256-[0-9a-f]{64}\.(att|sig)$`)
	// appendedTag names what grows: attestations, and the list of what refers to an image.
	appendedTag = regexp.MustCompile(`^sha256-[0-9a-f]{64}(\.att|\.sig)?$`)
)

// asked is one request for something in a repository.
type asked struct {
	repository string
	// what is manifests, blobs, uploads, tags or referrers.
	what string
	// reference is the tag or digest of a manifest.
	reference string
}

func parse(path string) (asked, bool) {
	found := operation.FindStringSubmatch(path)
	if found == nil {
		return asked{}, false
	}
	return asked{repository: found[1], what: found[2] + found[4] + found[5] + found[6], reference: found[3]}, true
}

func (a asked) isTag() bool {
	return a.what == "manifests" && !strings.HasPrefix(a.reference, "sha256:")
}

// refusal is what a client is told, in the words of the OCI distribution specification.
type refusal struct {
	status  int
	code    string
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(status int, code, message string, values ...any) *refusal {
	return &refusal{status: status, code: code, message: fmt.Sprintf(message, values...)}
}

// guard stands before a registry that knows no rights: it says who may do what, and hands on the rest.
type guard struct {
	callers  *callers
	registry *url.URL
	proxy    *httputil.ReverseProxy
	client   *http.Client
	// tags is held while a tag is looked at and then written.
	tags sync.Mutex
}

func newGuard(known *callers, registry *url.URL) *guard {
	return &guard{
		callers:  known,
		registry: registry,
		client:   http.DefaultClient,
		proxy: &httputil.ReverseProxy{Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(registry)
			request.Out.Host = request.In.Host
			request.Out.Header.Del("Authorization")
		}},
	}
}

// allow says whether a caller may have what is asked for; nil is yes.
func allow(who caller, what asked, request *http.Request) *refusal {
	denied := func(rule string) *refusal {
		return refuse(http.StatusForbidden, "DENIED", "SSF-REGISTRY-002 %s: %s by %s; rule: %s", what.repository, request.Method, who.name, rule)
	}
	if !who.may(spaceOf(what.repository)) {
		return denied("A team uses its own repositories, which begin with its namespace.")
	}
	switch request.Method {
	case http.MethodGet, http.MethodHead:
		return nil
	case http.MethodPost, http.MethodPatch, http.MethodPut:
	default:
		return refuse(http.StatusMethodNotAllowed, "UNSUPPORTED", "SSF-REGISTRY-003 %s: %s; rule: Nothing is deleted.", what.repository, request.Method)
	}
	switch {
	case !who.pushes && !who.attests:
		return denied("Only the identities of a team's publishing stage and of Chains write; the others read.")
	case what.what == "uploads":
		return nil
	case what.what == "manifests" && request.Method == http.MethodPut:
		if attestationTag.MatchString(what.reference) != who.attests {
			return denied("Chains writes attestations and nothing else; publishing stages write images and no attestation.")
		}
		return nil
	default:
		return denied("Manifests and blobs are written, and nothing else.")
	}
}

func (g *guard) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	// What the kubelet asks: whether both answer. It says nothing of what is stored.
	if request.Method == http.MethodGet && request.URL.Path == "/" {
		g.proxy.ServeHTTP(writer, request)
		return
	}
	who, known := g.callers.identify(request)
	if !known {
		writer.Header().Set("WWW-Authenticate", `Basic realm="secure-software-factory"`)
		answer(writer, request, who, refuse(http.StatusUnauthorized, "UNAUTHORIZED", "SSF-REGISTRY-001: log in with a token of SPIRE for this registry, or with a password that reads"))
		return
	}
	if request.URL.Path == "/v2/" && (request.Method == http.MethodGet || request.Method == http.MethodHead) {
		g.proxy.ServeHTTP(writer, request)
		return
	}
	// An escaped path could mean something else to whoever unescapes it again.
	what, parsed := parse(request.URL.Path)
	if !parsed || request.URL.EscapedPath() != request.URL.Path {
		answer(writer, request, who, refuse(http.StatusForbidden, "DENIED", "SSF-REGISTRY-004 %q: no manifest, blob, upload or list of tags", request.URL.EscapedPath()))
		return
	}
	if refused := allow(who, what, request); refused != nil {
		answer(writer, request, who, refused)
		return
	}
	if request.Method == http.MethodPut && what.isTag() {
		g.tags.Lock()
		defer g.tags.Unlock()
		if err := g.checkTag(what, request); err != nil {
			answer(writer, request, who, err)
			return
		}
	}
	if request.Method == http.MethodPost {
		// Neither query nor form of a new upload can take over a blob from a repository that the caller may not read.
		request.URL.RawQuery = ""
		request.Header.Del("Content-Type")
	}
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		slog.Info("writes", "caller", who.name, "method", request.Method, "path", request.URL.Path)
	}
	g.proxy.ServeHTTP(writer, request)
}

func answer(writer http.ResponseWriter, request *http.Request, who caller, err error) {
	refused := &refusal{}
	if !errors.As(err, &refused) {
		refused = refuse(http.StatusBadGateway, "UNKNOWN", "the registry does not answer")
	}
	slog.Warn("refused", "caller", who.name, "method", request.Method, "path", request.URL.EscapedPath(), "status", refused.status, "why", err.Error())
	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(refused.status)
	// A client that has gone does not read it.
	_ = json.NewEncoder(writer).Encode(map[string]any{
		"errors": []map[string]string{{"code": refused.code, "message": refused.message}},
	})
}

// manifest is what a list and an image have in common: what they are made of.
type manifest struct {
	Layers    []struct{ Digest string } `json:"layers"`
	Manifests []struct{ Digest string } `json:"manifests"`
}

func (m manifest) parts() []string {
	var digests []string
	for _, part := range append(m.Layers, m.Manifests...) {
		digests = append(digests, part.Digest)
	}
	return digests
}

// checkTag refuses to let a tag name something else than it does, but for tags that grow and lose nothing.
func (g *guard) checkTag(what asked, request *http.Request) error {
	body, err := io.ReadAll(io.LimitReader(request.Body, manifestLimit+1))
	if err != nil {
		return err
	}
	if len(body) > manifestLimit {
		return refuse(http.StatusRequestEntityTooLarge, "MANIFEST_INVALID", "SSF-REGISTRY-006 %s: a manifest has %d bytes at most", what.repository, manifestLimit)
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	before, err := g.stored(request, what)
	if err != nil || before == nil || bytes.Equal(before, body) {
		return err
	}
	if !appendedTag.MatchString(what.reference) {
		return refuse(http.StatusForbidden, "DENIED", "SSF-REGISTRY-005 %s:%s exists; rule: A tag names one image forever.", what.repository, what.reference)
	}
	var old, replacing manifest
	if err := errors.Join(json.Unmarshal(before, &old), json.Unmarshal(body, &replacing)); err != nil {
		return refuse(http.StatusBadRequest, "MANIFEST_INVALID", "SSF-REGISTRY-006 %s: %v", what.repository, err)
	}
	kept := replacing.parts()
	for _, digest := range old.parts() {
		if !slices.Contains(kept, digest) {
			return refuse(http.StatusForbidden, "DENIED", "SSF-REGISTRY-005 %s:%s would lose %s; rule: What lies beside an image is added to and never replaced.", what.repository, what.reference, digest)
		}
	}
	return nil
}

// stored is the manifest that a tag names now; nil when there is none.
func (g *guard) stored(request *http.Request, what asked) ([]byte, error) {
	get, err := http.NewRequestWithContext(request.Context(), http.MethodGet, g.registry.JoinPath(request.URL.Path).String(), nil)
	if err != nil {
		return nil, err
	}
	get.Header["Accept"] = manifestTypes
	response, err := g.client.Do(get)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusNotFound:
		return nil, nil
	case http.StatusOK:
		return io.ReadAll(io.LimitReader(response.Body, manifestLimit))
	default:
		return nil, fmt.Errorf("%s:%s: HTTP status %d", what.repository, what.reference, response.StatusCode)
	}
}
