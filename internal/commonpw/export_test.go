package commonpw

// List is the list as it is embedded.
var List = list
