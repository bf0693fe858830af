package slim

import (
	"path"
	"strings"

	"seawall.io/seawall/internal/image"
)

// rule keeps files that no name in a file leads to: what libraries load by the
// contents of a folder, and what runtimes take for granted.
type rule struct {
	// when are patterns of paths. One that holds no slash is a call, see script.Calls.
	when []string
	keep []string
	why  string
}

// keepLists are the rules, from the documentation and sources of each project.
//
//nolint:gochecknoglobals // a constant table
var keepLists = []rule{
	{[]string{"**/libc.so.6", "**/libc.musl-*"}, []string{"etc/nsswitch.conf", "lib/*/libnss_*.so.2", "usr/lib/*/libnss_*.so.2", "lib64/libnss_*.so.2", "usr/lib64/libnss_*.so.2", "usr/lib/locale/C.utf8/**", "usr/lib/locale/C.UTF-8/**", "usr/share/i18n/charmaps/UTF-8.gz"}, "the C library loads it to look names up"},
	{[]string{"iconv_open"}, []string{"usr/lib/*/gconv/**", "usr/lib64/gconv/**", "usr/lib/gconv/**"}, "the C library loads it to convert character sets"},
	{[]string{"**/libcrypto.so.*"}, []string{"usr/lib/*/ossl-modules/**", "usr/lib64/ossl-modules/**", "usr/lib/ossl-modules/**", "usr/lib/*/engines-*/**", "usr/lib64/engines-*/**", "usr/lib/engines-*/**", "etc/ssl/**", "usr/lib/ssl/**", "etc/pki/**", "etc/crypto-policies/**"}, "OpenSSL loads it as its settings say"},
	{[]string{"**/libgnutls.so.*"}, []string{"etc/gnutls/**", "usr/lib/*/pkcs11/**"}, "GnuTLS reads it"},
	{[]string{"**/libp11-kit.so.*"}, []string{"usr/lib/*/pkcs11/**", "usr/share/p11-kit/**", "etc/pkcs11/**"}, "p11-kit loads every module"},
	{[]string{"**/libMagickCore*"}, []string{"usr/lib/*/ImageMagick-*/**", "usr/lib64/ImageMagick-*/**", "usr/lib/ImageMagick-*/**", "etc/ImageMagick-*/**", "usr/share/ImageMagick-*/**"}, "ImageMagick loads a coder for each kind of image"},
	{[]string{"**/libvips.so.*"}, []string{"usr/lib/*/vips-modules-*/**"}, "libvips loads its modules"},
	{[]string{"**/libpam.so.*"}, []string{"lib/*/security/**", "usr/lib/*/security/**", "lib64/security/**", "usr/lib64/security/**", "etc/pam.d/**", "etc/pam.conf", "etc/security/**", "etc/login.defs"}, "PAM loads the modules that its settings name"},
	{[]string{"**/libsasl2.so.*"}, []string{"usr/lib/*/sasl2/**", "usr/lib64/sasl2/**", "etc/sasl2/**"}, "SASL loads every mechanism"},
	{[]string{"**/libgssapi_krb5.so.*", "**/libkrb5.so.*"}, []string{"usr/lib/*/krb5/plugins/**", "usr/lib/*/gss/**", "etc/krb5.conf*", "etc/gss/**"}, "Kerberos loads its plugins"},
	{[]string{"**/libtinfo.so.*", "**/libncurses*.so.*"}, []string{"lib/terminfo/**", "etc/terminfo/**"}, "terminals are described there"},
	{[]string{"**/libgio-2.0.so.*"}, []string{"usr/lib/*/gio/modules/**", "usr/share/glib-2.0/schemas/**"}, "GIO loads every module"},
	{[]string{"**/libgdk_pixbuf-2.0.so.*"}, []string{"usr/lib/*/gdk-pixbuf-2.0/**"}, "gdk-pixbuf loads a module for each kind of image"},
	{[]string{"**/libfontconfig.so.*"}, []string{"etc/fonts/**", "usr/share/fontconfig/**", "usr/share/fonts/**", "usr/local/share/fonts/**", "usr/share/xml/fontconfig/**"}, "fontconfig finds fonts there"},
	{[]string{"**/libmagic.so.*"}, []string{"usr/share/misc/magic*", "usr/lib/file/**", "etc/magic*"}, "libmagic tells files by it"},
	{[]string{"**/libxml2.so.*"}, []string{"etc/xml/**"}, "libxml2 finds catalogues there"},
	{[]string{"**/libgs.so.*"}, []string{"usr/share/ghostscript/**", "var/lib/ghostscript/**"}, "Ghostscript reads it when it starts"},
	{[]string{"**/libgstreamer-1.0.so.*"}, []string{"usr/lib/*/gstreamer-1.0/**"}, "GStreamer loads every plugin"},
	{[]string{"**/libQt5Core.so.*", "**/libQt6Core.so.*"}, []string{"usr/lib/*/qt5/plugins/**", "usr/lib/*/qt6/plugins/**"}, "Qt loads its plugins"},
	{[]string{"**/libproj.so.*"}, []string{"usr/share/proj/**"}, "PROJ reads it when it starts"},
	{[]string{"**/libgdal.so.*"}, []string{"usr/share/gdal/**"}, "GDAL reads it when it starts"},
	{[]string{"**/libodbc.so.*"}, []string{"etc/odbc*.ini", "usr/lib/*/odbc/**"}, "ODBC loads the drivers that its settings name"},

	{[]string{"usr/sbin/nginx", "usr/local/sbin/nginx"}, []string{"etc/nginx/**", "usr/lib/nginx/**", "usr/share/nginx/**", "var/lib/nginx/**", "var/log/nginx/**", "usr/lib64/nginx/**", "var/cache/nginx/**", "var/www/**"}, "nginx reads it as its settings say"},
	{[]string{"usr/sbin/apache2", "usr/sbin/httpd", "usr/local/apache2/bin/httpd"}, []string{"etc/apache2/**", "etc/httpd/**", "usr/lib/apache2/**", "usr/lib64/httpd/**", "usr/local/apache2/**", "usr/share/apache2/**", "var/www/**", "etc/mime.types"}, "the web server loads the modules that its settings name"},
	{[]string{"usr/lib/postgresql/*/bin/*", "usr/share/postgresql-common/*", "usr/local/bin/postgres"}, []string{"usr/lib/postgresql/**", "usr/share/postgresql/**", "etc/postgresql*/**", "usr/local/lib/postgresql/**", "usr/local/share/postgresql/**", "usr/share/perl5/PgCommon.pm"}, "PostgreSQL loads extensions by name"},
	{[]string{"usr/sbin/mysqld", "usr/sbin/mariadbd"}, []string{"usr/share/mysql/**", "usr/share/mariadb/**", "etc/mysql/**", "usr/lib/mysql/**", "usr/lib/*/mariadb*/**", "usr/lib/mysql/plugin/**"}, "the database loads plugins by name"},
	{[]string{"usr/sbin/haproxy", "usr/local/sbin/haproxy"}, []string{"etc/haproxy/**"}, "HAProxy reads it"},
	{[]string{"usr/bin/git", "usr/local/bin/git"}, []string{"usr/lib/git-core/**", "usr/share/git-core/**", "etc/gitconfig"}, "git runs its commands as programs of their own"},

	{[]string{"usr/bin/python3*", "usr/local/bin/python3*", "usr/bin/python2*", "opt/*/bin/python3*", "**/libpython3*.so*"}, []string{"usr/lib/python3*/**", "usr/local/lib/python3*/**", "usr/lib/python2*/**", "usr/local/lib/python2*/**", "usr/lib64/python3*/**", "etc/python3*/**", "usr/share/python-wheels/**"}, "Python finds modules there by name"},
	{[]string{"usr/bin/perl*", "usr/local/bin/perl*", "**/libperl.so.*"}, []string{"usr/share/perl*/**", "usr/lib/*/perl*/**", "usr/local/lib/perl*/**", "usr/local/share/perl/**", "etc/perl/**", "usr/lib64/perl5/**"}, "Perl finds modules there by name"},
	{[]string{"usr/bin/ruby*", "usr/local/bin/ruby*", "**/libruby*.so.*"}, []string{"usr/lib/ruby/**", "usr/lib/*/ruby/**", "usr/local/lib/ruby/**", "usr/local/bundle/**", "var/lib/gems/**", "usr/share/rubygems-integration/**", "usr/share/ruby-*/**"}, "Ruby finds modules there by name"},
	{[]string{"usr/bin/php*", "usr/local/bin/php*", "usr/sbin/php-fpm*", "usr/local/sbin/php-fpm*", "**/libphp*.so"}, []string{"usr/lib/php/**", "usr/local/lib/php/**", "usr/share/php/**", "usr/share/php*/**", "etc/php/**", "usr/local/etc/php*/**", "var/lib/php/**"}, "PHP loads the extensions that its settings name"},
	{[]string{"usr/lib/jvm/*/bin/*", "usr/lib/jvm/*/jre/bin/*", "usr/lib/jvm/*/lib/*"}, []string{"usr/lib/jvm/**", "etc/java*/**", "etc/ssl/certs/java/**", "usr/share/java/**"}, "the Java runtime loads it by name"},
	{[]string{"opt/java/**", "opt/jdk*/**", "opt/jre*/**", "opt/openjdk*/**"}, []string{"opt/java/**", "opt/jdk*/**", "opt/jre*/**", "opt/openjdk*/**"}, "the Java runtime loads it by name"},
	{[]string{"usr/bin/dotnet", "usr/share/dotnet/dotnet"}, []string{"usr/share/dotnet/**", "usr/lib/dotnet/**", "etc/dotnet/**"}, "the .NET runtime loads it by name"},
	{[]string{"usr/bin/node", "usr/bin/nodejs", "usr/local/bin/node", "**/libnode.so.*"}, []string{"usr/share/nodejs/acorn/**", "usr/share/nodejs/acorn-walk/**", "usr/share/nodejs/cjs-module-lexer/**", "usr/share/nodejs/undici/**", "usr/share/nodejs/busboy/**", "usr/share/nodejs/streamsearch/**", "usr/share/nodejs/minimatch/**", "usr/share/nodejs/brace-expansion/**", "usr/share/nodejs/balanced-match/**"}, "Debian's node reads it when it starts"},
	{[]string{"usr/bin/tclsh*", "**/libtcl*.so*"}, []string{"usr/share/tcltk/**", "usr/lib/tcltk/**"}, "Tcl reads it when it starts"},
	{[]string{"usr/bin/erl*", "usr/local/bin/erl*"}, []string{"usr/lib/erlang/**", "usr/local/lib/erlang/**", "usr/local/lib/elixir/**"}, "Erlang finds modules there by name"},
}

// always are files that programs of every kind, static ones too, look for.
//
//nolint:gochecknoglobals // a constant table
var always = rule{nil, []string{
	"etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/nsswitch.conf", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/host.conf", "etc/gai.conf",
	"etc/os-release", "usr/lib/os-release", "etc/debian_version", "etc/alpine-release", "etc/redhat-release", "etc/system-release",
	"etc/services", "etc/protocols", "etc/mime.types", "etc/localtime", "etc/timezone", "usr/share/zoneinfo/**",
	"etc/ssl/**", "etc/pki/tls/**", "etc/pki/ca-trust/extracted/**", "etc/ca-certificates/**", "usr/share/ca-certificates/**", "usr/local/share/ca-certificates/**",
	"etc/ld.so.cache", "etc/ld.so.conf", "etc/ld.so.conf.d/**", "etc/ld.so.preload", "etc/ld-musl-*.path", "etc/locale.conf", "etc/environment",
}, "programs of every kind may read it"}

// maintainerOnly are packages that others depend on for the scripts that run when
// they are installed.
//
//nolint:gochecknoglobals // a constant table
var maintainerOnly = map[string]bool{
	"debconf": true, "cdebconf": true, "dpkg": true, "apt": true, "adduser": true, "passwd": true, "init-system-helpers": true,
	"lsb-base": true, "sysvinit-utils": true, "ucf": true, "sensible-utils": true, "install-info": true, "update-inetd": true,
	"libdebconfclient0": true, "perl-base": true, "openrc": true, "systemd": true, "shadow-utils": true, "alternatives": true,
	"chkconfig": true, "apk-tools": true, "rpm": true, "dnf": true, "systemd-sysv": true, "logrotate": true, "cron": true, "cron-daemon-common": true,
	"bsdextrautils": true, "man-db": true, "fonts-dejavu-core": false,
}

// basicCommands are packages with the commands that shell scripts take for
// granted.
//
//nolint:gochecknoglobals // a constant table
var basicCommands = map[string]bool{
	"dash": true, "bash": true, "busybox": true, "busybox-binsh": true, "coreutils": true, "coreutils-single": true, "sed": true, "grep": true,
	"findutils": true, "mawk": true, "gawk": true, "debianutils": true, "hostname": true, "diffutils": true, "gzip": true, "tar": true, "which": true,
}

// shared are folders that belong to no one program.
//
//nolint:gochecknoglobals // a constant table
var shared = map[string]bool{
	"": true, "etc": true, "usr": true, "var": true, "tmp": true, "home": true, "root": true, "opt": true, "srv": true, "run": true, "var/tmp": true,
	"var/run": true, "var/lib": true, "var/log": true, "var/cache": true, "var/spool": true, "usr/share/locale": true, "usr/share/zoneinfo": true,
	"usr/share/doc": true, "usr/share/man": true, "usr/local/share": true, "usr/local/lib": true, "usr/local/bin": true, "usr/local/etc": true,
	"usr/local/sbin": true, "usr/local/include": true, "etc/init.d": true, "etc/alternatives": true, "etc/default": true, "etc/profile.d": true,
	"etc/cron.d": true, "etc/cron.daily": true, "etc/apt": true, "var/lib/dpkg": true, "var/lib/apt": true, "usr/lib/debug": true, "etc/rc.d": true,
	"usr/share/nodejs": true, "usr/lib/nodejs": true, "usr/share/perl5": true, "usr/share/info": true, "usr/share/icons": true, "usr/share/applications": true,
}

// base keeps what is always kept.
func (a *analysis) base() {
	for _, pattern := range always.keep {
		for _, p := range a.match(pattern) {
			a.keep(p, "", always.why, false)
		}
	}
	if a.in.WorkDir != "" {
		a.keep(a.in.WorkDir, "", "the working directory", false)
	}
}

// rules fires the rules that a path sets off.
func (a *analysis) rules(p string) {
	for i := range keepLists {
		for _, when := range keepLists[i].when {
			if strings.Contains(when, "/") && triggers(when, p) {
				a.apply(i, p)
				break
			}
		}
	}
	a.runtimeFolders(p)
}

// fire fires the rules of a call.
func (a *analysis) fire(call, p string) {
	for i := range keepLists {
		if keepLists[i].when[0] == call {
			a.apply(i, p)
		}
	}
}

func triggers(when, p string) bool {
	if name, ok := strings.CutPrefix(when, "**/"); ok {
		fits, _ := path.Match(name, path.Base(p))
		return fits
	}
	return fits(strings.Split(when, "/"), p)
}

func (a *analysis) apply(i int, p string) {
	if a.fired[i] {
		return
	}
	a.fired[i] = true
	r := &keepLists[i]
	for _, pattern := range r.keep {
		for _, m := range a.match(pattern) {
			if a.testsOnly(m) || a.junk(m) != "" {
				continue
			}
			f, ok := a.tree.Lstat(m)
			if !ok {
				continue
			}
			a.keep(m, p, r.why, f.Kind() == image.Regular && loads(f))
		}
	}
}
