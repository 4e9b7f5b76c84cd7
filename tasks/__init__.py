"""Task data sheets, one module a family; `modernbert.data.registry` finds them by name."""
