package parlor

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"parlor/contract/http"
	"parlor/contract/types"
	"parlor/contract/wit"
)

// HTTPRequest is a request over the web.
type HTTPRequest struct {
	// Method is in capitals; GET where it is empty.
	Method string
	// URL is https://host[:port]/path[?query], or the same with http where the grant says so.
	URL string
	// Header has the values by name.
	Header map[string]string
	// Body may be nil.
	Body []byte
	// Credentials are settings of that type. The host writes each where {{name}} stands in the header, the query and the body.
	Credentials []string
	// Follow is how many redirects are followed, 10 at most.
	Follow uint8
	// Timeout is how long it may take in all; 0 is as long as the host allows.
	Timeout time.Duration
}

// HTTPResponse is the answer.
type HTTPResponse struct {
	// Status is the status code (RFC 9110, section 15).
	Status int
	// URL is the address that answered, after all redirects.
	URL string
	// Header has the values by name, in small letters; of several with one name, they are joined by a comma.
	Header map[string]string
	// Body is whole.
	Body []byte
}

// HTTPDo makes a request, and waits for the whole answer. A status from 400 on is no error: see HTTPResponse.Success. Needs http.fetch.
//
//	weather, err := parlor.HTTPDo(ctx, parlor.HTTPRequest{URL: "https://api.example.org/weather?key={{api_key}}", Credentials: []string{"api_key"}})
func HTTPDo(ctx context.Context, request HTTPRequest) (*HTTPResponse, error) {
	asked := http.Request{
		Method: request.Method, Url: request.URL, Credentials: request.Credentials, Follow: request.Follow, Timeout: expires(request.Timeout),
	}
	if asked.Method == "" {
		asked.Method = "GET"
	}
	for name, value := range request.Header {
		asked.Headers = append(asked.Headers, types.Header{Name: name, Value: value})
	}
	if request.Body != nil {
		asked.Body = wit.Some(request.Body)
	}
	// The query may have a secret of the plugin's own.
	server, _, _ := strings.Cut(request.URL, "?")
	answer, err := call(ctx, server, func() wit.Result[http.Response, types.Error] { return http.Fetch(asked) })
	if err != nil {
		return nil, err
	}
	return &HTTPResponse{Status: int(answer.Status), URL: answer.Url, Header: byName(answer.Headers), Body: answer.Body}, nil
}

// HTTPGet makes a request of the method GET. Needs http.fetch.
func HTTPGet(ctx context.Context, url string) (*HTTPResponse, error) {
	return HTTPDo(ctx, HTTPRequest{URL: url})
}

// Success is an error where the status is 400 or more.
func (response *HTTPResponse) Success() error {
	if response.Status >= 400 {
		return fmt.Errorf("the server answered %d", response.Status)
	}
	return nil
}

// JSON reads the body into a value.
func (response *HTTPResponse) JSON(value any) error { return json.Unmarshal(response.Body, value) }
