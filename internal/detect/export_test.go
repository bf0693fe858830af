package detect

// Forget makes an engine what it was when it was new, without compiling anew.
func (e *Engine) Forget() {
	e.memory, e.folds = newMemory(e.options.Limits), newFolds(e.options.Limits)
	e.now, e.stats, e.frame = 0, Stats{}, frame{}
	for _, r := range e.rules {
		r.trails, r.stats, r.last = 0, RuleStats{}, nil
	}
}
