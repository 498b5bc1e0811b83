// Package recommend ranks courses for learners.
//
// A Strategy trains a Model from the interactions of a platform; a Model answers
// Requests. The strategies are CategoryAffinity, Popularity, ItemKNN and Hybrid,
// which is the default and tunes itself on the platform's own data. An embedder's own
// strategy implements the same two interfaces and is measured by recommend/evaluate
// beside these.
//
// # What a model knows
//
// A model is told all it knows: Items (courses that may be recommended) and Interactions (who did
// what, when). Training reads both from a Source once, learner after learner, so that memory is
// that of the model. Afterwards an Updater takes one change at a time: Observe, Withdraw, Forget,
// Put, Remove. Changes commute with one another except for the removals, and the same
// Interaction told twice counts once, so that events may come late, twice and in any order.
//
// A Request brings the learner's history with it. So the next request after an interaction
// reflects it, whether or not the model has heard of it yet, and a learner whom no training
// has seen is served like any other.
//
// # One entry per learner and course
//
// What a learner did with a course counts once: its kind is the strongest of the
// interactions, and its time the earliest of those that began it (Start or Complete), or else of those that
// looked at it (View or Bookmark). History entries are ordered by that time, then by course.
//
// # Determinism
//
// The same changes give the same model and the same lists, whatever the machine and the number of
// readers; equal scores are ordered by the lower CourseID. Counters are integers, so that what was
// added is subtracted without a remainder: after Forget the model gives the lists of one that
// never saw the learner.
//
// The package holds no SQL and no transport, and starts no goroutines.
package recommend
