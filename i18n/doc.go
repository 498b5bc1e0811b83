// Package i18n finds the language of a reader and says in it what the platform has to
// say: errors, names of roles and statuses, certificates, counts, dates and money.
//
// A [Catalog] has texts: Russian and English ones, and what an embedder adds. Who asks has
// wishes, of which its Negotiate makes a [Reader], that [With] keeps in the context.
// Nothing here is global.
package i18n
