package analytics

import (
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Key is what an event is routed by, and with which all its rows begin: the id of its
// course, or a negative number for what has no course. All rows of a key are on one
// shard.
type Key int64

// Buckets is how many parts the keys fall into. A bucket is what a Directory maps and
// what moves between shards.
const Buckets = 1024

// Bucket is one of them, from 0.
type Bucket int

// KeyOf returns the key of an event: its course, else the bucket of its user, else that
// of its session.
func KeyOf(e Event) Key {
	switch {
	case e.Course > 0:
		return Key(e.Course)
	case e.User > 0:
		return keyOfUser(e.User)
	}
	return -1 - Key(xxhash.Sum64String("s"+e.Session)%Buckets)
}

// keyOfUser is the key of a user's events without a course.
func keyOfUser(user core.UserID) Key {
	return -1 - Key(xxhash.Sum64String("u"+strconv.FormatInt(int64(user), 10))%Buckets)
}

// Course returns the course of a key, or 0.
func (k Key) Course() courses.CourseID { return courses.CourseID(max(k, 0)) }

// Bucket returns the part that the key falls into.
func (k Key) Bucket() Bucket {
	if k < 0 {
		return Bucket(-1 - k)
	}
	return Bucket(k.hash() % Buckets)
}

// hash spreads keys evenly; it never changes, since rows are where it says.
func (k Key) hash() uint64 {
	x := uint64(k) + 0x9e3779b97f4a7c15 // the finalizer of SplitMix64
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
