package main

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/clock"
)

const (
	annotationSigned       = "chains.tekton.dev/signed"
	annotationRetries      = "chains.tekton.dev/retries"
	annotationTransparency = "chains.tekton.dev/transparency"
	annotationRequested    = "secure-software-factory.dev/signing-requested"

	fieldManager  = "signing-healer"
	firstBackoff  = 5 * time.Second
	lastBackoff   = 5 * time.Minute
	checkInterval = 5 * time.Second
	idle          = time.Hour
	conflictTries = 5
)

// annotationsRead are all that decide over a run; the watch keeps no others.
var annotationsRead = []string{annotationSigned, annotationRetries, annotationTransparency, annotationRequested}

// What Chains made of a completed run. A retried run is marked as signed and logged, but the entry in the log may come from
// a try that did not store the statement: Chains keeps its annotation, and a later try that could not sign marks the run all
// the same.
const (
	logged   = "logged"
	failed   = "failed"
	unlogged = "unlogged"
	retried  = "retried"
	pending  = "pending"
)

// pipelineRun is a completed run.
type pipelineRun struct {
	namespace, name, version, state string
	uid                             types.UID
	completed, requested            time.Time
}

// completedRun reads a run; one that still runs, or is being deleted, does not count.
func completedRun(object *unstructured.Unstructured) (pipelineRun, bool) {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	ended := ""
	for _, entry := range conditions {
		condition, _ := entry.(map[string]any)
		if status := condition["status"]; condition["type"] == "Succeeded" && (status == "True" || status == "False") {
			ended, _ = condition["lastTransitionTime"].(string)
			if completion, _, _ := unstructured.NestedString(object.Object, "status", "completionTime"); completion != "" {
				ended = completion
			}
		}
	}
	completed, err := time.Parse(time.RFC3339, ended)
	if err != nil || object.GetDeletionTimestamp() != nil {
		return pipelineRun{}, false
	}
	annotations := object.GetAnnotations()
	run := pipelineRun{
		namespace: object.GetNamespace(),
		name:      object.GetName(),
		version:   object.GetResourceVersion(),
		uid:       object.GetUID(),
		completed: completed,
		state:     pending,
	}
	run.requested, _ = time.Parse(time.RFC3339, annotations[annotationRequested])
	switch annotations[annotationSigned] {
	case "failed":
		run.state = failed
	case "true":
		run.state = logged
		if annotations[annotationTransparency] == "" {
			run.state = unlogged
		} else if annotations[annotationRetries] != "" {
			run.state = retried
		}
	}
	return run, true
}

// patch makes Chains sign: without its annotations it starts anew, and a run that it overlooked only has to change.
// Taken away by a merge patch, an annotation has no owner any more, so that Chains can apply it again.
func (r pipelineRun) patch(now time.Time) ([]byte, error) {
	annotations := map[string]any{annotationSigned: nil, annotationRetries: nil, annotationTransparency: nil}
	if r.state == pending {
		annotations = map[string]any{annotationRequested: now.UTC().Format(time.RFC3339)}
	}
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": r.version, "annotations": annotations},
	})
}

// history is what was tried for a run.
type history struct {
	attempts   int
	last, next time.Time
	lastError  string
}

// healer gives runs back to Chains.
type healer struct {
	runs       dynamic.NamespaceableResourceInterface
	list       func() []*unstructured.Unstructured
	services   func(context.Context) error
	clock      clock.Clock
	jitter     func() float64
	overlooked time.Duration

	mutex     sync.Mutex
	histories map[types.UID]*history
	nextCheck time.Time
	isDown    bool
}

// backoff doubles with every attempt; a quarter of it is left to chance, so that runs do not come all at once.
func (h *healer) backoff(attempts int) time.Duration {
	wait := lastBackoff
	if doublings := attempts - 1; doublings < 6 {
		wait = min(firstBackoff<<doublings, lastBackoff)
	}
	return wait - time.Duration(h.jitter()*float64(wait/4))
}

// dueAt is when a run's turn is. Chains is left alone with a run that it has not answered for yet.
func (h *healer) dueAt(run pipelineRun) time.Time {
	tried := h.histories[run.uid]
	due := tried.next
	if run.state == pending {
		for _, seen := range []time.Time{run.completed, run.requested, tried.last} {
			if patience := seen.Add(h.overlooked); patience.After(due) {
				due = patience
			}
		}
	}
	return due
}

// waiting are the runs that are not known to be signed with an entry in the log, the oldest first. It forgets all others.
func (h *healer) waiting() []pipelineRun {
	var runs []pipelineRun
	histories := map[types.UID]*history{}
	for _, object := range h.list() {
		if run, isCompleted := completedRun(object); isCompleted && run.state != logged {
			runs = append(runs, run)
			histories[run.uid] = cmp.Or(h.histories[run.uid], &history{})
		}
	}
	h.histories = histories
	slices.SortFunc(runs, func(a, b pipelineRun) int {
		return cmp.Or(a.completed.Compare(b.completed), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
	return runs
}

// due are the runs whose turn it is, and how long there is nothing to do when there are none.
func (h *healer) due() ([]pipelineRun, time.Duration) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	now, wait := h.clock.Now(), idle
	var runs []pipelineRun
	for _, run := range h.waiting() {
		if left := h.dueAt(run).Sub(now); left > 0 {
			wait = min(wait, left)
		} else {
			runs = append(runs, run)
		}
	}
	return runs, wait
}

// pass heals every run whose turn it is, if signing can work, and says how long there is nothing to do then.
func (h *healer) pass(ctx context.Context) time.Duration {
	runs, wait := h.due()
	if len(runs) == 0 {
		return wait
	}
	if left := h.nextCheck.Sub(h.clock.Now()); left > 0 {
		return min(wait, left)
	}
	if err := h.services(ctx); err != nil {
		h.nextCheck = h.clock.Now().Add(checkInterval)
		if !h.isDown {
			slog.Warn("signing cannot work", "waiting", len(runs), "error", err)
		}
		h.isDown = true
		h.note(runs, err)
		return min(wait, checkInterval)
	}
	if h.isDown {
		slog.Info("signing can work again", "waiting", len(runs))
	}
	h.isDown = false
	for _, run := range runs {
		if ctx.Err() != nil {
			break
		}
		h.attempt(ctx, run)
	}
	_, wait = h.due()
	return wait
}

func (h *healer) note(runs []pipelineRun, err error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for _, run := range runs {
		if tried := h.histories[run.uid]; tried != nil {
			tried.lastError = err.Error()
		}
	}
}

func (h *healer) attempt(ctx context.Context, run pipelineRun) {
	err := h.giveBack(ctx, run)
	h.mutex.Lock()
	defer h.mutex.Unlock()
	tried := h.histories[run.uid]
	if tried == nil {
		return
	}
	tried.attempts++
	tried.last = h.clock.Now()
	tried.next = tried.last.Add(h.backoff(tried.attempts))
	tried.lastError = ""
	about := []any{"namespace", run.namespace, "run", run.name, "state", run.state, "attempt", tried.attempts}
	if err != nil {
		tried.lastError = err.Error()
		slog.Error("run not given back to Chains", append(about, "error", err)...)
		return
	}
	slog.Info("run given back to Chains", about...)
}

// giveBack changes the run that was looked at. If it is another by now, it is looked at again.
func (h *healer) giveBack(ctx context.Context, run pipelineRun) error {
	runs := h.runs.Namespace(run.namespace)
	for try := 1; ; try++ {
		patch, err := run.patch(h.clock.Now())
		if err != nil {
			return err
		}
		_, err = runs.Patch(ctx, run.name, types.MergePatchType, patch, v1.PatchOptions{FieldManager: fieldManager})
		if errors.IsConflict(err) && try < conflictTries {
			object, missing := runs.Get(ctx, run.name, v1.GetOptions{})
			if missing != nil {
				return ignoreGone(missing)
			}
			now, isCompleted := completedRun(object)
			if !isCompleted || now.uid != run.uid || !h.isDue(now) {
				return nil
			}
			run = now
			continue
		}
		return ignoreGone(err)
	}
}

func ignoreGone(err error) error {
	if errors.IsNotFound(err) {
		return nil
	}
	return err
}

func (h *healer) isDue(run pipelineRun) bool {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return run.state != logged && h.histories[run.uid] != nil && !h.dueAt(run).After(h.clock.Now())
}

// heal goes on until the context ends: whenever a run changed, and when a run's turn has come.
func (h *healer) heal(ctx context.Context, wake <-chan struct{}) {
	for ctx.Err() == nil {
		timer := h.clock.NewTimer(h.pass(ctx))
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C():
		}
		timer.Stop()
	}
}

// unsignedRun is a completed run that is not known to be signed with an entry in the log.
type unsignedRun struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Completed time.Time `json:"completed"`
	State     string    `json:"state"`
	Attempts  int       `json:"attempts"`
	LastError string    `json:"lastError"`
}

func (h *healer) unsigned() []unsignedRun {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	list := []unsignedRun{}
	for _, run := range h.waiting() {
		tried := h.histories[run.uid]
		list = append(list, unsignedRun{run.namespace, run.name, run.completed, run.state, tried.attempts, tried.lastError})
	}
	return list
}
