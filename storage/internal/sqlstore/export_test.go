package sqlstore

// ProfilesOf is profilesOf, for a look at its plan.
var ProfilesOf = profilesOf
