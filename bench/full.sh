#!/usr/bin/env bash
# Runs the figures that the issues name at full scale, without the race detector,
# and writes docs/measurements.md. Needs USTAT_TEST_DATA; finds PostgreSQL itself.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${USTAT_TEST_DATA:?names the folder with import/catalog}"
export USTAT_TEST_REQUIRE=postgres USTAT_TEST_SCALE=10
out=docs/measurements.md
work=$(mktemp)
trap 'rm -f "$work"' EXIT

section() { # title, command...
	local title=$1
	shift
	{
		printf '\n## %s\n\n`%s`\n\n```\n' "$title" "$*"
		"$@" 2>&1 | grep -aE 'Benchmark|ratio|rows/s|^ok|^---|FAIL|seed|SEED|acknowledged|effects|writers|kills|cuts|faults|peak|refused|beside|pgtest:|students that' | sed "s#/usr/lib/[^ ]*#…#" || true
		printf '```\n'
	} >>"$work"
}

{
	echo "# Measurements"
	echo
	echo "Written by \`make full\` on $(date -u +%Y-%m-%d): $(go version | cut -d' ' -f3), $(nproc) cores,$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2)."
	echo "Machines are noisy: read the ratios, which are of one run."
} >"$work"
section "Handlers beside hand-written ones" go test -run '^$' -bench Handlers -benchtime 5000x -timeout 30m ./bench
section "Reviews beside hand-written handlers" go test -run '^$' -bench Reviews -benchtime 1x -timeout 30m ./bench
section "What requests cost with 20 k, 200 k and 2 M reviews" go test -run '^$' -bench Growth -benchtime 1x -timeout 60m ./bench
section "Page 360 beside page 1" go test -run '^$' -bench DeepPage -benchtime 1000x -timeout 30m ./bench
section "Import" go test -run '^$' -bench Import -benchtime 3x -timeout 30m ./transfer
section "Real enrollments: import, and out and in again" go test -run Real -bench Enrollments -benchtime 2x -v -timeout 60m ./transfer
section "Memory of an import" go test -run Memory -v -timeout 30m ./transfer
section "Events relayed and worked, and what Emit adds" go test -run '^$' -bench 'Events|Emit' -benchtime 10000x -timeout 30m ./bench
section "From a commit to its handler" go test -run '^$' -bench PickUp -benchtime 300x -timeout 30m ./bench
section "Processes that are killed, stopped and crowded" go test -run 'SIGKILL|SIGTERM|TwoProcesses|BusyFile' -v -count=1 -timeout 60m .
section "A list of courses beside 500 sign-ins, under load" go test -run '^$' -bench ListBesideLogins -benchtime 1x -timeout 30m ./bench
section "Signing in, roles and tokens" go test -run . -v -count=1 -timeout 30m ./accounts
section "Authoring" go test -run . -skip 'NeverMoreThanTheCapacity' -v -count=1 -timeout 60m ./courses ./courses/richtext
section "Learning beside hand-written handlers" go test -run '^$' -bench Learning -benchtime 3000x -timeout 30m ./bench
section "Import of enrollments" go test -run '^$' -bench Enrollments -benchtime 3x -timeout 30m ./transfer
section "Enrollments counted, and out and in again" go test -run 'TheRealEnrollments' -v -count=1 -timeout 30m ./transfer
section "Never more than the capacity" go test -run 'NeverMoreThanTheCapacity' -v -count=1 -timeout 60m ./courses
section "Progress, purchases and certificates after anything" go test -run 'ProgressAfterAnything|RandomPurchases|ACertificateImplies' -v -count=1 -timeout 60m ./courses
section "A hundred at once" go test -run 'DoubleSubmits|KeyOfEnrollment|AHundredAtOnceIssue|OneHundredOrders' -v -count=1 -timeout 30m ./httpapi ./courses
section "Letters of certificates" go test -v -count=1 -timeout 30m ./courses/certificate
section "Learning and purchases killed and cut" go test -run 'Sweep|Purchases|Capacity|ACut|Erasing' -v -count=1 -timeout 120m ./internal/killtest
section "Providers of payments" go test -v -count=1 -timeout 30m ./payments/...
section "Who may do what" go test -run 'Policy|WhoMay|Flags' -v -count=1 -timeout 30m ./httpapi
section "Reviews recounted" go test -run 'Numbers|Hundred' -v -count=1 -timeout 30m ./reviews
section "Conformance" go test -timeout 30m -count=1 ./storage/... ./tasks/...
section "Kills, cuts and faults" go test -timeout 30m -count=1 -v ./internal/killtest
cp "$work" "$out"
if grep -qE '^(--- FAIL|FAIL)' "$out"; then
	echo "something failed: see $out"
	exit 1
fi
echo "wrote $out"
