package scan

import "strings"

// names are what scanners ask every site for: files that lie about by mistake, doors of
// common programs, backups. Lower case; each stands somewhere in a path, and begins with
// a slash. A short list: it says that somebody looks around, not what for.
var names = [...]string{
	"/.env", "/.git/", "/.svn/", "/.aws/", "/.ssh/", "/.htpasswd", "/.vscode/", "/.ds_store", "/wp-config", "/wp-login.php",
	"/xmlrpc.php", "/wp-admin/", "/phpmyadmin", "/pma/", "/adminer", "/phpinfo", "/cgi-bin/", "/server-status", "/actuator/", "/solr/",
	"/vendor/phpunit", "/boaform/", "/hnap1", "/manager/html", "/jenkins", "/backup.", "/dump.sql", "/db.sql", "/config.json", "/web.config",
	"/etc/passwd", "/shell.php", "/setup.php", "/owa/", "/telescope/",
}

// probe is which of names stands in a path, one bit each; 0 is none.
func probe(path string) uint64 {
	for rest := strings.ToLower(path); ; rest = rest[1:] {
		slash := strings.IndexByte(rest, '/')
		if slash < 0 {
			return 0
		}
		rest = rest[slash:]
		for i, name := range names {
			if strings.HasPrefix(rest, name) {
				return 1 << i
			}
		}
	}
}
