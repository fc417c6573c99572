package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
)

const (
	// tokenUser is the user name of every login by token of SPIRE.
	tokenUser = "spiffe"
	// everySpace stands for the repositories of all teams.
	everySpace = "*"
)

// caller is who asks and what that gives. A space is the first part of a repository's name: the namespace of its team.
type caller struct {
	name string
	// space is the one whose repositories the caller may use, or everySpace.
	space string
	// pushes says that it may push images.
	pushes bool
	// attests says that it may push what Chains lays beside images, and nothing else.
	attests bool
}

func (c caller) may(space string) bool { return c.space == everySpace || c.space == space }

// callers knows who may ask.
type callers struct {
	// key is what the passwords of teams, which only read, are made from.
	key []byte
	// bundles hold the keys that SPIRE signs tokens with.
	bundles jwtbundle.Source
	// audience is whom tokens must be for: the registry, by its own name.
	audience string
	// publisher is the service account that pushes to the space of its namespace.
	publisher string
	// attestor is the identity that lays attestations beside all images.
	attestor string
	// reader is the identity that reads all images and writes none: the gate's verifier.
	reader string
}

var (
	teamSpace = regexp.MustCompile(`^team-[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	workload  = regexp.MustCompile(`^/ns/([^/]+)/sa/([^/]+)$`)
)

// password is that of a team, which only reads.
func password(key []byte, user string) string {
	code := hmac.New(sha256.New, key)
	code.Write([]byte(user))
	return base64.RawURLEncoding.EncodeToString(code.Sum(nil))
}

// identify finds out who asks; nobody is anonymous.
func (c *callers) identify(request *http.Request) (caller, bool) {
	user, secret, given := request.BasicAuth()
	switch {
	case !given:
		return caller{}, false
	case user == tokenUser:
		return c.byToken(secret)
	case !teamSpace.MatchString(user):
		return caller{}, false
	case !hmac.Equal([]byte(secret), []byte(password(c.key, user))):
		return caller{}, false
	default:
		return caller{name: user, space: user}, true
	}
}

func (c *callers) byToken(token string) (caller, bool) {
	svid, err := jwtsvid.ParseAndValidate(token, c.bundles, []string{c.audience})
	if err != nil {
		return caller{}, false
	}
	id := svid.ID.String()
	switch id {
	case c.attestor:
		return caller{name: id, space: everySpace, attests: true}, true
	case c.reader:
		return caller{name: id, space: everySpace}, true
	}
	parts := workload.FindStringSubmatch(svid.ID.Path())
	if parts == nil || parts[2] != c.publisher || !teamSpace.MatchString(parts[1]) {
		return caller{}, false
	}
	return caller{name: id, space: parts[1], pushes: true}, true
}

// spaceOf is the first part of a repository's name.
func spaceOf(repository string) string {
	space, _, _ := strings.Cut(repository, "/")
	return space
}
