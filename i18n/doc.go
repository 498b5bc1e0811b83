// Package i18n finds the language of a reader and says in it what the platform has to
// say: errors, names of roles and statuses, certificates, counts, dates and money.
//
// Who asks has wishes ([Reader], made by [Negotiate] and kept in the context by [With]),
// and a [Catalog] has texts: Russian and English ones, and what an embedder adds.
// Nothing here is global.
package i18n
