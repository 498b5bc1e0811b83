package s3_test

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/blob/blobtest"
	"github.com/ustat/ustat/blob/s3"
	"github.com/ustat/ustat/core"
)

// urlVariable names a bucket of a real store: http://key:secret@host:9000/bucket.
const urlVariable = "USTAT_TEST_S3_URL"

func TestABucketConforms(t *testing.T) {
	t.Parallel()
	fake, endpoint := newServer(t)
	options := s3.Options{Endpoint: endpoint, Bucket: "files", Region: "us-east-1", AccessKey: "key", SecretKey: "secret", Insecure: true, MaxSize: blobtest.Limit}
	blobtest.Run(t, func(t *testing.T) blob.Store {
		b, err := s3.Open(t.Context(), options)
		require.NoError(t, err)
		return b
	})
	t.Cleanup(func() { require.Empty(t, fake.uploads, "nothing unfinished is left") })
}

func TestARealBucketConforms(t *testing.T) {
	t.Parallel()
	text := os.Getenv(urlVariable)
	if text == "" {
		t.Skip("no store to try: set " + urlVariable + " to http://key:secret@host:9000/bucket")
	}
	at, err := url.Parse(text)
	require.NoError(t, err)
	secret, _ := at.User.Password()
	blobtest.Run(t, func(t *testing.T) blob.Store {
		b, err := s3.Open(t.Context(), s3.Options{
			Endpoint: at.Host, Bucket: strings.Trim(at.Path, "/"), AccessKey: at.User.Username(), SecretKey: core.Secret(secret),
			Insecure: at.Scheme == "http", MaxSize: blobtest.Limit,
		})
		require.NoError(t, err)
		return b
	})
}

func TestABucketThatIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	_, endpoint := newServer(t)
	for _, o := range []struct {
		options s3.Options
		want    error
	}{
		{s3.Options{Endpoint: endpoint, Bucket: "another", Region: "us-east-1", Insecure: true}, core.ErrUnavailable},
		{s3.Options{Endpoint: endpoint, Insecure: true}, core.ErrInvalid},
		{s3.Options{Endpoint: "http://" + endpoint + "/x", Bucket: "files"}, core.ErrInvalid},
		{s3.Options{Endpoint: endpoint, Bucket: "files", MaxSize: -1}, core.ErrInvalid},
	} {
		_, err := s3.Open(t.Context(), o.options)
		require.ErrorIs(t, err, o.want)
	}
}
