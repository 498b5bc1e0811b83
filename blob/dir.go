package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ustat/ustat/core"
)

// Directory is a Store in a folder. Several processes may share it.
type Directory struct {
	path   string
	limit  int64
	tidied atomic.Int64 // when unfinished files were last removed, in seconds since 1970
}

const (
	// unfinished begins the names of files that are being written.
	unfinished = "unfinished-"
	// unfinishedFor is after how long such a file is what a dead process has left.
	unfinishedFor = 24 * time.Hour
)

// Dir returns a Store in the folder at path, which is made, for this user alone, if it
// is not there. Files that processes have left unfinished more than a day ago are
// removed now, and once a day by Put.
func Dir(path string, opt *Options) (*Directory, error) {
	limit, err := opt.Limit()
	if err != nil {
		return nil, err
	}
	if path == "" {
		return nil, core.Invalid("path", "required", "", "", "a folder is needed")
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, away(err)
	}
	d := &Directory{path: path, limit: limit}
	return d, d.removeUnfinished()
}

// away says that the folder cannot be used, without its path.
func away(err error) error {
	return core.ErrUnavailable.Withf("the folder of files cannot be used").Because(err)
}

// removeUnfinished does its work once in unfinishedFor.
func (d *Directory) removeUnfinished() error {
	last, now := d.tidied.Load(), time.Now().Unix()
	if now-last < int64(unfinishedFor.Seconds()) || !d.tidied.CompareAndSwap(last, now) {
		return nil
	}
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return away(err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), unfinished) {
			continue
		}
		if info, err := entry.Info(); err != nil || time.Since(info.ModTime()) < unfinishedFor {
			continue // gone, or being written
		}
		if err := os.Remove(filepath.Join(d.path, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return away(err)
		}
	}
	return nil
}

func (d *Directory) file(key Key) (string, error) {
	if err := key.Check(); err != nil {
		return "", err
	}
	return filepath.Join(d.path, string(key)), nil
}

// Put implements Store. The file is on the disk when Put returns.
func (d *Directory) Put(ctx context.Context, key Key, r io.Reader) (int64, error) {
	path, err := d.file(key)
	if err != nil {
		return 0, err
	}
	if err := d.removeUnfinished(); err != nil {
		return 0, err
	}
	temp := filepath.Join(d.path, unfinished+rand.Text())
	size, err := d.write(temp, Bound(ctx, r, d.limit))
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = d.publish(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp) // else it is removed by a later Dir
		return 0, err
	}
	return size, nil
}

// write writes a new file to the disk.
func (d *Directory) write(path string, r io.Reader) (size int64, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, away(err)
	}
	defer func() {
		if closing := f.Close(); err == nil && closing != nil {
			err = away(closing)
		}
	}()
	size, err = io.Copy(f, r)
	if _, ours := errors.AsType[*fs.PathError](err); ours { // of the disk, not of r
		return 0, away(err)
	}
	if err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, away(err)
	}
	return size, nil
}

// publish gives a file its name, at once and for good.
func (d *Directory) publish(temp, path string) error {
	if err := os.Rename(temp, path); err != nil {
		return away(err)
	}
	folder, err := os.Open(d.path)
	if err != nil {
		return away(err)
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil {
		return away(err)
	}
	return nil
}

// Open implements Store.
func (d *Directory) Open(ctx context.Context, key Key) (*File, error) {
	path, err := d.file(key)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, away(err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, away(errors.Join(err, f.Close()))
	}
	return &File{ReadSeekCloser: f, Size: info.Size(), ModTime: info.ModTime().UTC()}, nil
}

// Delete implements Store.
func (d *Directory) Delete(ctx context.Context, key Key) error {
	path, err := d.file(key)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return away(err)
	}
	return nil
}
