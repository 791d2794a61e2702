"""The studies: each measures, draws and tells; see `benchmarks.study.Study`."""
