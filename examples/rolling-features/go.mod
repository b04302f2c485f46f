module rolling-features

go 1.23

require modularruntime/modrun v0.0.0

replace modularruntime/modrun => ../../sdk/go
