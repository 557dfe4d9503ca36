//go:build tools

// Package tools pins what `cargo xtask tool` builds from this module.
package tools

import (
	_ "github.com/distribution/distribution/v3/cmd/registry"
)
