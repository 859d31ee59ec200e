//! What the profiler costs.
