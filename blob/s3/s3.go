// Package s3 keeps files in a bucket of a store that speaks the protocol of Amazon S3.
//
//	files, err := s3.Open(ctx, s3.Options{Endpoint: "storage.example.org", Bucket: "school", AccessKey: id, SecretKey: secret})
//	platform, err := ustat.New(backend, &ustat.Config{Files: files})
//
// Let the bucket end multipart uploads that are a day old: a process that dies leaves
// them, unseen.
package s3

import (
	"context"
	"io"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
)

// Options says where the bucket is.
type Options struct {
	Endpoint  string // host, and port where it is not that of the scheme; needed
	Bucket    string // needed; it must be there
	Region    string // empty means that the store is asked for it
	AccessKey string
	SecretKey core.Secret
	// Insecure speaks HTTP without TLS.
	Insecure bool
	// MaxSize is as in blob.Options.
	MaxSize int64
}

// Bucket is a blob.Store in a bucket.
type Bucket struct {
	client *minio.Client
	name   string
	limit  int64
}

// partSize is how much of a file is held in memory while it is sent; a file of 10,000
// parts is the largest there is.
const partSize = 16 << 20

// Open returns the store of a bucket. It fails with core.ErrInvalid for Options out of
// their bounds, and with core.ErrUnavailable when the bucket is not to be had.
func Open(ctx context.Context, o Options) (*Bucket, error) {
	limit, err := (&blob.Options{MaxSize: o.MaxSize}).Limit()
	if err != nil {
		return nil, err
	}
	if o.Bucket == "" {
		return nil, core.Invalid("Bucket", "required", "", "", "a bucket is needed")
	}
	client, err := minio.New(o.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(o.AccessKey, string(o.SecretKey), ""), Secure: !o.Insecure, Region: o.Region,
	})
	if err != nil {
		return nil, core.Invalid("Endpoint", "host", "", o.Endpoint, "a host is expected, without a scheme").Because(err)
	}
	there, err := client.BucketExists(ctx, o.Bucket)
	if err != nil {
		return nil, away(ctx, err)
	}
	if !there {
		return nil, core.ErrUnavailable.Withf("there is no bucket %q", o.Bucket)
	}
	return &Bucket{client, o.Bucket, limit}, nil
}

func away(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return blob.ErrNotFound
	}
	return core.ErrUnavailable.Withf("the bucket of files cannot be used").Because(err)
}

// watched remembers why a reader has failed.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// Put implements blob.Store. It sends parts of 16 MiB, one at a time.
func (b *Bucket) Put(ctx context.Context, key blob.Key, r io.Reader) (int64, error) {
	if err := key.Check(); err != nil {
		return 0, err
	}
	file := &watched{r: blob.Bound(ctx, r, b.limit)}
	// Of an unknown size: sent in parts, and made a file when the last one is there.
	info, err := b.client.PutObject(ctx, b.name, string(key), file, -1, minio.PutObjectOptions{
		ContentType: key.Type().MediaType(), PartSize: partSize, NumThreads: 1,
	})
	switch {
	case file.err != nil:
		return 0, file.err
	case err != nil:
		return 0, away(ctx, err)
	}
	return info.Size, nil
}

// Open implements blob.Store.
func (b *Bucket) Open(ctx context.Context, key blob.Key) (*blob.File, error) {
	if err := key.Check(); err != nil {
		return nil, err
	}
	object, err := b.client.GetObject(ctx, b.name, string(key), minio.GetObjectOptions{})
	if err != nil {
		return nil, away(ctx, err)
	}
	info, err := object.Stat()
	if err != nil {
		_ = object.Close()
		return nil, away(ctx, err)
	}
	return &blob.File{ReadSeekCloser: object, Size: info.Size, ModTime: info.LastModified.UTC()}, nil
}

// Delete implements blob.Store.
func (b *Bucket) Delete(ctx context.Context, key blob.Key) error {
	if err := key.Check(); err != nil {
		return err
	}
	if err := b.client.RemoveObject(ctx, b.name, string(key), minio.RemoveObjectOptions{}); err != nil {
		return away(ctx, err)
	}
	return nil
}
