// Command tekton-definitions says what Tekton's own code makes of definitions and runs: it reads a request from standard input
// and answers with each definition's checksum, whether its signature holds, and what validation finds wrong.
package main

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/apis/pipeline/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
)

type request struct {
	PublicKeyPem string            `json:"publicKeyPem"`
	Objects      []json.RawMessage `json:"objects"`
}

type answer struct {
	Checksum string `json:"checksum"`
	Signed   bool   `json:"signed"`
	Invalid  string `json:"invalid"`
}

type object interface {
	metav1.Object
	apis.Defaultable
	apis.Validatable
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var in request
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return err
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(in.PublicKeyPem))
	if err != nil {
		return err
	}
	verifier, err := signature.LoadVerifier(key, crypto.SHA256)
	if err != nil {
		return err
	}
	answers := make([]answer, len(in.Objects))
	for i, raw := range in.Objects {
		if answers[i], err = judge(raw, verifier); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func judge(raw json.RawMessage, verifier signature.Verifier) (answer, error) {
	var kind metav1.TypeMeta
	if err := json.Unmarshal(raw, &kind); err != nil {
		return answer{}, err
	}
	kinds := map[string]object{
		"Task": &v1.Task{}, "Pipeline": &v1.Pipeline{}, "PipelineRun": &v1.PipelineRun{},
		"VerificationPolicy": &v1alpha1.VerificationPolicy{},
	}
	obj, known := kinds[kind.Kind]
	if !known {
		return answer{}, fmt.Errorf("no kind %q", kind.Kind)
	}
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	if err := strict.Decode(obj); err != nil {
		return answer{}, err
	}
	ctx := context.Background()
	obj.SetDefaults(ctx)
	var out answer
	if err := obj.Validate(apis.WithinCreate(ctx)); err != nil {
		out.Invalid = err.Error()
	}
	if hashable, ok := obj.(interface{ Checksum() ([]byte, error) }); ok {
		checksum, err := hashable.Checksum()
		if err != nil {
			return answer{}, err
		}
		out.Checksum = hex.EncodeToString(checksum)
		sig, err := base64.StdEncoding.DecodeString(obj.GetAnnotations()["tekton.dev/signature"])
		out.Signed = err == nil && verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader(checksum)) == nil
	}
	return out, nil
}
