package s3_test

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// server speaks as much of S3 as the store needs: one bucket, objects put in parts,
// read by ranges and deleted. It checks no signatures.
type server struct {
	mu      sync.Mutex
	objects map[string]object
	uploads map[string]map[int][]byte
	n       int
}

type object struct {
	body []byte
	at   time.Time
}

func newServer(t *testing.T) (*server, string) {
	s := &server{objects: map[string]object{}, uploads: map[string]map[int][]byte{}}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return s, strings.TrimPrefix(h.URL, "http://")
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	switch {
	case bucket != "files":
		s.refuse(w, r, http.StatusNotFound, "NoSuchBucket")
	case key == "" && query.Has("location"):
		fmt.Fprint(w, `<LocationConstraint></LocationConstraint>`)
	case key == "":
		w.WriteHeader(http.StatusOK)
	case r.Method == http.MethodPost || r.Method == http.MethodPut:
		s.write(w, r, key)
	case r.Method == http.MethodDelete:
		s.mu.Lock()
		defer s.mu.Unlock()
		if id := query.Get("uploadId"); id != "" {
			delete(s.uploads, id)
		} else {
			delete(s.objects, key)
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		s.mu.Lock()
		o, ok := s.objects[key]
		s.mu.Unlock()
		if !ok {
			s.refuse(w, r, http.StatusNotFound, "NoSuchKey")
			return
		}
		w.Header().Set("ETag", tag(o.body))
		http.ServeContent(w, r, "", o.at, bytes.NewReader(o.body))
	}
}

func (s *server) write(w http.ResponseWriter, r *http.Request, key string) {
	body, err := payload(r)
	if err != nil {
		s.refuse(w, r, http.StatusBadRequest, "IncompleteBody")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	query := r.URL.Query()
	upload := query.Get("uploadId")
	switch {
	case query.Has("uploads"):
		s.n++
		id := strconv.Itoa(s.n)
		s.uploads[id] = map[int][]byte{}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case s.uploads[upload] == nil:
		s.refuse(w, r, http.StatusNotFound, "NoSuchUpload")
	case r.Method == http.MethodPut:
		n, _ := strconv.Atoi(query.Get("partNumber"))
		s.uploads[upload][n] = body
		w.Header().Set("ETag", tag(body))
	default:
		var list struct{ Part []struct{ PartNumber int } }
		if err := xml.Unmarshal(body, &list); err != nil {
			s.refuse(w, r, http.StatusBadRequest, "MalformedXML")
			return
		}
		var whole []byte
		for _, p := range list.Part {
			whole = append(whole, s.uploads[upload][p.PartNumber]...)
		}
		delete(s.uploads, upload)
		s.objects[key] = object{whole, time.Now()}
		fmt.Fprintf(w, "<CompleteMultipartUploadResult><Bucket>files</Bucket><ETag>%s</ETag></CompleteMultipartUploadResult>", tag(whole))
	}
}

// payload returns the body of a request, out of its signed chunks where it has them.
func payload(r *http.Request) ([]byte, error) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return io.ReadAll(r.Body)
	}
	var out []byte
	in := bufio.NewReader(r.Body)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		text, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		size, err := strconv.ParseInt(text, 16, 64)
		if err != nil {
			return nil, err
		}
		if size == 0 {
			return out, nil
		}
		chunk := make([]byte, size+2) // and \r\n
		if _, err := io.ReadFull(in, chunk); err != nil {
			return nil, err
		}
		out = append(out, chunk[:size]...)
	}
}

func tag(body []byte) string {
	sum := md5.Sum(body)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func (s *server) refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
	}
}
