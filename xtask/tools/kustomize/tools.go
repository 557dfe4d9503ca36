//go:build tools

// Package tools pins what `cargo xtask tool` builds from this module.
package tools

import (
	_ "sigs.k8s.io/kustomize/kustomize/v5"
)
