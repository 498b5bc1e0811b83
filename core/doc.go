// Package core is the kernel that every domain of Ustat shares: who asks
// ([Actor]), what went wrong ([Error]), money, pages and cursors, time, and the
// rows that commit together with a domain's own ([Tx]).
//
// It imports no database, no transport and no other package of Ustat.
package core
