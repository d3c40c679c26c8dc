module podgraft.dev/bench

go 1.21
