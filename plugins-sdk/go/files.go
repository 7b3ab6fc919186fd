package parlor

import (
	"context"
	"math"

	"parlor/contract/files"
	"parlor/contract/types"
	"parlor/contract/wit"
)

// File is one that a message refers to. A field that its sender does not say is empty.
type File struct {
	// URL is its address, https://…, or aesgcm://… of one that is encrypted.
	URL string
	// Name has no path.
	Name string
	// MediaType is such as image/png.
	MediaType string
	// Size is in bytes; 0 where it is not known.
	Size int64
}

// Upload is a file that is being sent to the account's server: an io.Writer. A context that has ended ends its calls.
type Upload struct {
	ctx    context.Context
	name   string
	number uint64
	isOver bool
}

// FilesUpload begins an upload of so many bytes to the account's server (XEP-0363). The name has 1 to 255 bytes and no path; it can be
// seen in the file's address. How many may be open at once is the limit files.
//
// It gives Denied where the grant covers no file of this media type and size, and Unsupported where the server takes no files, or none so
// large. With StanzaError the server refuses, such as with resource-constraint when it was too much in some time. Needs files.send.
//
//	upload, err := parlor.FilesUpload(ctx, "note.txt", "text/plain", int64(len(text)))
//	if err != nil {
//		return err
//	}
//	defer upload.Close()
//	if _, err := io.WriteString(upload, text); err != nil {
//		return err
//	}
//	file, err := upload.Finish()
//	if err != nil {
//		return err
//	}
//	_, err = parlor.ChatsSendMessage(ctx, "juliet@example.org", parlor.Outgoing{Files: []parlor.File{file}})
func FilesUpload(ctx context.Context, name, mediaType string, size int64) (*Upload, error) {
	bytes := uint64(max(size, 0))
	number, err := call(ctx, name, func() wit.Result[uint64, types.Error] { return files.Upload(name, mediaType, bytes) })
	if err != nil {
		return nil, err
	}
	return &Upload{ctx: ctx, name: name, number: number}, nil
}

// FilesUploadEncrypted does the same for an encrypted chat: the host encrypts the file, and the server gets no more of its name than the
// ending. The address of the file has its key. A message with it is sent encrypted, or gives Unsupported. Needs files.send.
func FilesUploadEncrypted(ctx context.Context, name, mediaType string, size int64) (*Upload, error) {
	bytes := uint64(max(size, 0))
	number, err := call(ctx, name, func() wit.Result[uint64, types.Error] { return files.UploadEncrypted(name, mediaType, bytes) })
	if err != nil {
		return nil, err
	}
	return &Upload{ctx: ctx, name: name, number: number}, nil
}

// Write sends a part of it, of any size. It waits while the server takes no more. It gives Invalid where that is more than was said, and
// Protocol where the server takes no more. Needs files.send.
func (upload *Upload) Write(part []byte) (int, error) {
	return inParts(part, func(piece []byte) error {
		return done(upload.ctx, upload.name, func() wit.Result[wit.Unit, types.Error] { return files.Write(upload.number, piece) })
	})
}

// Finish ends the upload, and gives the file for a message: Outgoing.Files. It gives Invalid where bytes are missing, and Protocol where
// the server did not store it; its text has the status. Needs files.send.
func (upload *Upload) Finish() (File, error) {
	file, err := call(upload.ctx, upload.name, func() wit.Result[types.File, types.Error] { return files.Finish(upload.number) })
	if err != nil {
		return File{}, err
	}
	upload.isOver = true
	return newFile(file), nil
}

// Close gives it up. One that is finished is left alone.
func (upload *Upload) Close() error {
	if upload.isOver {
		return nil
	}
	upload.isOver = true
	return unlessGone(Done(files.Close(upload.number)))
}

// Download is a file that is being read: an io.Reader. A context that has ended ends its calls.
type Download struct {
	// Size is in bytes; 0 where the server does not say it. It may say anything.
	Size int64
	// MediaType is empty where the server does not say it.
	MediaType string

	ctx     context.Context
	server  string
	number  uint64
	content incoming
}

// FilesOpen opens a file of a message, by its address: that of one which this plugin was shown since its start, among the last 1,000 of
// them. Redirects are followed, five at most. It gives Denied where no message had this address, or it is not of the public network, and
// Protocol where the server's status is not 200. Needs files.read.
//
//	for _, file := range message.Files {
//		download, err := parlor.FilesOpen(ctx, file.URL)
//		if err != nil {
//			return err
//		}
//		size, err := io.Copy(io.Discard, download)
//		…
//	}
func FilesOpen(ctx context.Context, url string) (*Download, error) {
	server := withoutQuery(url)
	opened, err := call(ctx, server, func() wit.Result[files.Opened, types.Error] { return files.Open(url) })
	if err != nil {
		return nil, err
	}
	return &Download{
		Size: bounded(opened.Size.Some()), MediaType: opened.MediaType.Some(), ctx: ctx, server: server, number: opened.Transfer,
	}, nil
}

// Read reads it; io.EOF is its end. The host reads from the server no faster than the plugin reads. Needs files.read.
func (download *Download) Read(into []byte) (int, error) {
	return download.content.read(into, func() (wit.Option[[]uint8], error) {
		return call(download.ctx, download.server, func() wit.Result[wit.Option[[]uint8], types.Error] { return files.Read(download.number) })
	})
}

// Close closes it. One that was read to its end is left alone.
func (download *Download) Close() error {
	return download.content.close(func() error { return Done(files.Close(download.number)) })
}

func newFile(raw types.File) File {
	return File{URL: raw.Url, Name: raw.Name.Some(), MediaType: raw.MediaType.Some(), Size: bounded(raw.Size.Some())}
}

// Nobody has more; who says so means nothing.
func bounded(size uint64) int64 {
	return int64(min(size, math.MaxInt64))
}

func newFiles(raw []types.File) []File {
	var all []File
	for _, one := range raw {
		all = append(all, newFile(one))
	}
	return all
}

func wireFiles(all []File) []types.File {
	var raw []types.File
	for _, one := range all {
		file := types.File{Url: one.URL, Name: option(one.Name), MediaType: option(one.MediaType)}
		if one.Size > 0 {
			file.Size = wit.Some(uint64(one.Size))
		}
		raw = append(raw, file)
	}
	return raw
}
