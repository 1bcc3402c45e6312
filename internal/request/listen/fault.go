package listen

// fault is why a message was not accepted. The zero fault is none.
type fault uint8

const (
	faultNone fault = iota
	faultRequestLine
	faultMethod
	faultConnect
	faultTarget
	faultVersion
	faultBareCR
	faultBareLF
	faultFolding
	faultControl
	faultFieldName
	faultHeadSize
	faultFieldCount
	faultHost
	faultHostMissing
	faultHostTwice
	faultHostMismatch
	faultLength
	faultLengthTwice
	faultLengthAndCoding
	faultCoding
	faultTrailerField
	faultChunkSize
	faultChunkExtension
	faultChunkEnd
	faultTrailers
	faultTruncated
	faultExpect
	faultTooLarge
	faultSlowHead
	faultSlowBody
	faultFields
	faultBusy
	faults
)

type faultText struct {
	status int
	kind   string // label of metrics
	text   string // for whoever sent it
}

// about returns what each fault is called. A switch would do the same; a
// function keeps the table out of package-level variables.
func (f fault) about() faultText {
	switch f {
	case faultRequestLine:
		return faultText{400, "request-line", "the request line is not METHOD SP TARGET SP VERSION"}
	case faultMethod:
		return faultText{400, "method", "the method is not a token of at most 32 characters"}
	case faultConnect:
		return faultText{400, "connect", "this is not a forward proxy: CONNECT is not served"}
	case faultTarget:
		return faultText{400, "target", "the request target is not valid"}
	case faultVersion:
		return faultText{400, "version", "only HTTP/1.0 and HTTP/1.1 are spoken here"}
	case faultBareCR:
		return faultText{400, "bare-cr", "a CR stands without its LF"}
	case faultBareLF:
		return faultText{400, "bare-lf", "a line ends with LF instead of CRLF"}
	case faultFolding:
		return faultText{400, "folding", "a header line begins with white space (obsolete folding)"}
	case faultControl:
		return faultText{400, "control", "a control character stands in the head"}
	case faultFieldName:
		return faultText{400, "field-name", "a header field has no valid name"}
	case faultHeadSize:
		return faultText{400, "head-size", "the head is too large"}
	case faultFieldCount:
		return faultText{400, "field-count", "there are too many header fields"}
	case faultHost:
		return faultText{400, "host", "the Host field is not valid"}
	case faultHostMissing:
		return faultText{400, "host-missing", "the Host field is missing"}
	case faultHostTwice:
		return faultText{400, "host-twice", "there is more than one Host field"}
	case faultHostMismatch:
		return faultText{400, "host-mismatch", "the Host field and the request target name different hosts"}
	case faultLength:
		return faultText{400, "length", "Content-Length is not one decimal number"}
	case faultLengthTwice:
		return faultText{400, "length-twice", "there is more than one Content-Length"}
	case faultLengthAndCoding:
		return faultText{400, "length-and-coding", "Content-Length and Transfer-Encoding stand together"}
	case faultCoding:
		return faultText{400, "coding", "Transfer-Encoding is something else than chunked, or stands in HTTP/1.0"}
	case faultTrailerField:
		return faultText{400, "trailer-field", "a field that frames messages is announced or sent as a trailer"}
	case faultChunkSize:
		return faultText{400, "chunk-size", "a chunk size is not valid"}
	case faultChunkExtension:
		return faultText{400, "chunk-extension", "chunk extensions are not valid or too long"}
	case faultChunkEnd:
		return faultText{400, "chunk-end", "a chunk does not end with CRLF"}
	case faultTrailers:
		return faultText{400, "trailers", "the trailers are not valid or too long"}
	case faultTruncated:
		return faultText{400, "truncated", "the body ended early"}
	case faultExpect:
		return faultText{417, "expect", "the only expectation that can be met is 100-continue"}
	case faultTooLarge:
		return faultText{413, "body-size", "the body is larger than this site accepts"}
	case faultSlowHead:
		return faultText{408, "head", "the head of the request took too long to arrive"}
	case faultFields:
		return faultText{400, "fields", "the fields of the request are not valid in HTTP/2 and 3"}
	case faultBusy:
		return faultText{503, "unread", "there are more bodies under way than can be held"}
	case faultSlowBody:
		return faultText{408, "body", "the body of the request arrives too slowly"}
	}
	return faultText{400, "none", "the request is not valid"}
}

func (f fault) Error() string { return "listen: " + f.about().text }
