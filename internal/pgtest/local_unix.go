//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// keeper runs the server for as long as its standard input is open, which is as
// long as the process of the tests lives, however that ends; then it removes the
// directory. It is a shell because a death signal would follow the thread that
// started the server and would leave the files.
const keeper = `dir=$1; shift
"$@" </dev/null >"$dir/log" 2>&1 &
server=$!
read -r _
kill -QUIT $server 2>/dev/null
wait $server
cd / && rm -rf "$dir"`

// startLocal makes a cluster with installed programs and starts it on a socket in
// its own directory, so that no port can clash.
func startLocal() (*server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(memory(), "ustat-pg-")
	if err != nil {
		return nil, err
	}
	account, err := unprivileged(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-E", "UTF8", "--locale", "C.UTF-8",
		"--auth", "trust", "--username", "postgres", "--no-sync", "--no-instructions")
	initdb.SysProcAttr, initdb.Dir = &syscall.SysProcAttr{Credential: account}, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, out), os.RemoveAll(dir))
	}

	args := []string{"-c", keeper, "keeper", dir, filepath.Join(bin, "postgres"), "-D", data, "-k", dir}
	for _, setting := range []string{
		"listen_addresses=", "port=5432", "max_connections=200", "fsync=off", "synchronous_commit=off",
		"full_page_writes=off", "shared_buffers=64MB", "wal_level=minimal", "max_wal_senders=0",
		"max_wal_size=256MB", "dynamic_shared_memory_type=mmap", "logging_collector=off", "log_min_messages=fatal",
	} {
		args = append(args, "-c", setting)
	}
	run := exec.Command("/bin/sh", args...)
	run.Dir = dir
	run.SysProcAttr = &syscall.SysProcAttr{Credential: account, Setsid: true} // out of reach of Ctrl-C
	life, err := run.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := run.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &server{
		dsn:    "postgres://postgres@/postgres?" + url.Values{"host": {dir}, "port": {"5432"}, "sslmode": {"disable"}}.Encode(),
		source: "local binaries in " + bin,
		stop: func() {
			_ = life.Close()
			_ = run.Wait()
		},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		conn, err := s.connect(ctx)
		if err == nil {
			return s, conn.Close(ctx)
		}
		if ctx.Err() != nil || run.Process.Signal(syscall.Signal(0)) != nil {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			s.stop()
			return nil, fmt.Errorf("postgres did not start: %w: %s", err, log)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// binaries returns the directory of initdb and postgres: that of PATH, or the
// newest of Debian's.
func binaries() (string, error) {
	var dirs []string
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		dirs = append(dirs, filepath.Dir(path))
	}
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	version := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		return n
	}
	slices.SortFunc(debian, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range append(dirs, debian...) {
		if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("initdb and postgres: %w", errAway)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

// memory returns a directory of files in memory where there is one.
func memory() string {
	const shm = "/dev/shm"
	if probe, err := os.MkdirTemp(shm, "ustat-probe-"); err == nil {
		_ = os.Remove(probe)
		return shm
	}
	return ""
}

// unprivileged gives dir to the account that the server runs as: ours, or
// postgres (else nobody) where we are root, as whom PostgreSQL does not run.
func unprivileged(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	var errs []error
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, uid, gid)
	}
	return nil, errors.Join(errs...)
}
