package detect

// Exceptions are matches that somebody accepted.
type Exceptions struct{}

func (x *Exceptions) accept(*frame, *rule) bool { return false }
