local c = import "../common/c.libsonnet"; c {metadata+: {labels: {x: "y"}}}
