//! House rules as tests: package graph, sizes, module docs, banned calls, golden files.
