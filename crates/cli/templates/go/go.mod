module {{name}}

go 1.23

require modularruntime/modrun v0.1.0
{{dependency}}
