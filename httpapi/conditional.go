package httpapi

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/ustat/ustat/core"
)

// An entity tag is "<version>-<hash>", or "<hash>" of what has no version. The hash
// is of the bytes that are sent: a conditional read compares the whole tag. The
// version counts the changes of what can be written: a conditional write compares
// it alone, so that a rating which has moved meanwhile refuses no edit.

func entityTag(version int64, body []byte) string {
	tag := strconv.FormatUint(xxhash.Sum64(body), 16)
	if version > 0 {
		tag = strconv.FormatInt(version, 10) + "-" + tag
	}
	return `"` + tag + `"`
}

// madeTag is an entity tag with a version.
var madeTag = regexp.MustCompile(`^"([1-9][0-9]{0,18})-[0-9a-f]{1,16}"$`)

// noneMatch reports whether a conditional read already has that entity tag.
func noneMatch(r *http.Request, tag string) bool {
	for _, header := range r.Header.Values("If-None-Match") {
		for given := range strings.SplitSeq(header, ",") {
			given = strings.TrimSpace(given)
			if given == "*" || strings.TrimPrefix(given, "W/") == tag {
				return true
			}
		}
	}
	return false
}

// ifVersion returns the version that If-Match names, and 0 when any will do.
// A tag that this API has not made matches nothing: core.ErrVersion.
func ifVersion(r *http.Request) (int64, error) {
	given := strings.Join(r.Header.Values("If-Match"), ",")
	if given == "" || strings.TrimSpace(given) == "*" {
		return 0, nil
	}
	match := madeTag.FindStringSubmatch(strings.TrimSpace(given))
	if match == nil {
		return 0, core.ErrVersion.Withf("If-Match takes one entity tag, as a read has given it")
	}
	version, err := strconv.ParseInt(match[1], 10, 64)
	if err != nil {
		return 0, core.ErrVersion
	}
	return version, nil
}
