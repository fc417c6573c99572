package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func answer(handler http.Handler, method, path, body string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(method, path, strings.NewReader(body)))
	return recorder
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"health", http.MethodGet, "/healthz", "", http.StatusOK, `"ok"`},
		{
			"summary", http.MethodPost, "/v1/summary", "grüß dich", http.StatusOK,
			`{"words":2,"characters":9,"sha256":"04912357731daba88ae9c93116f388313f25dac0b61f2cd5ba463399ae3c902c"}`,
		},
		{
			"no UTF-8", http.MethodPost, "/v1/summary", "\xff", http.StatusUnsupportedMediaType,
			`{"error":"the text is not UTF-8"}`,
		},
		{
			"too long", http.MethodPost, "/v1/summary", strings.Repeat("a", longestText+1),
			http.StatusRequestEntityTooLarge, `{"error":"the text is longer than 1 MiB"}`,
		},
		{"wrong method", http.MethodGet, "/v1/summary", "", http.StatusMethodNotAllowed, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := answer(newHandler(), test.method, test.path, test.body)
			if got.Code != test.status {
				t.Errorf("status %d, want %d", got.Code, test.status)
			}
			if body := strings.TrimSpace(got.Body.String()); body != test.want {
				t.Errorf("body %s, want %s", body, test.want)
			}
		})
	}
}

func TestMetricsCountRequests(t *testing.T) {
	handler := newHandler()
	answer(handler, http.MethodGet, "/healthz", "")
	answer(handler, http.MethodGet, "/healthz", "")
	metrics := answer(handler, http.MethodGet, "/metrics", "").Body.String()
	if want := `go_service_requests_total{route="/healthz",status="200"} 2`; !strings.Contains(metrics, want) {
		t.Errorf("no line %s in\n%s", want, metrics)
	}
}
