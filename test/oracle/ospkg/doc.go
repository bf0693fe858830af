// Package ospkg holds seawall's readers of package databases against other
// readers, on databases of real distributions. It has tests only.
package ospkg
