package sqlstore

import "github.com/ustat/ustat/courses"

// pendingTx stands for the methods of courses.Tx that the next commits bring.
type pendingTx struct{ deeper }

type deeper struct{ deepest }

type deepest struct{ courses.Tx }

type pendingReader struct{ courses.Reader }
