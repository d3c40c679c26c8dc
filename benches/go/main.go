// The same job as podgraft's in Go as one would write it by hand: net/http, encoding/json, structs with only the fields that are needed.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"strconv"
	"time"
)

type named struct {
	Name string `json:"name"`
}

type mount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
}

type container struct {
	Name         string  `json:"name"`
	Env          []named `json:"env"`
	VolumeMounts []mount `json:"volumeMounts"`
}

type pod struct {
	Metadata struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		Volumes        []named     `json:"volumes"`
		InitContainers []container `json:"initContainers"`
		Containers     []container `json:"containers"`
	} `json:"spec"`
}

type request struct {
	UID       string `json:"uid"`
	Operation string `json:"operation"`
	Namespace string `json:"namespace"`
	Object    pod    `json:"object"`
}

type response struct {
	UID       string `json:"uid"`
	Allowed   bool   `json:"allowed"`
	PatchType string `json:"patchType,omitempty"`
	Patch     []byte `json:"patch,omitempty"`
}

type review struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Request    *request  `json:"request,omitempty"`
	Response   *response `json:"response,omitempty"`
}

type operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
}

type entry struct {
	key  string
	text json.RawMessage
}

var (
	env = []entry{
		{"GRAFTED_REGION", json.RawMessage(`{"name":"GRAFTED_REGION","value":"eu-central-1"}`)},
		{"GRAFTED_DATABASE", json.RawMessage(`{"name":"GRAFTED_DATABASE","value":"postgres://db.web.svc:5432/web"}`)},
		{"GRAFTED_CACHE", json.RawMessage(`{"name":"GRAFTED_CACHE","value":"redis://cache.web.svc:6379"}`)},
		{"GRAFTED_NAMESPACE", json.RawMessage(`{"name":"GRAFTED_NAMESPACE","valueFrom":{"fieldRef":{"fieldPath":"metadata.namespace"}}}`)},
		{"GRAFTED_TOKEN", json.RawMessage(`{"name":"GRAFTED_TOKEN","valueFrom":{"secretKeyRef":{"name":"web-token","key":"token"}}}`)},
	}
	mounts = []entry{
		{"/var/log/web", json.RawMessage(`{"name":"grafted-logs","mountPath":"/var/log/web"}`)},
		{"/etc/web", json.RawMessage(`{"name":"grafted-config","mountPath":"/etc/web","readOnly":true}`)},
	}
	volumes = []entry{
		{"grafted-logs", json.RawMessage(`{"name":"grafted-logs","emptyDir":{}}`)},
		{"grafted-config", json.RawMessage(`{"name":"grafted-config","configMap":{"name":"web-config"}}`)},
	}
	sidecar = json.RawMessage(`{"name":"log-shipper","image":"registry.example/fluent-bit:3.1","args":["--config","/etc/fluent-bit/fluent-bit.conf"],"resources":{"requests":{"cpu":"10m","memory":"32Mi"},"limits":{"memory":"64Mi"}},"volumeMounts":[{"name":"grafted-logs","mountPath":"/var/log/web","readOnly":true}],"securityContext":{"runAsNonRoot":true,"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}`)
)

func add(patch []operation, list string, has int, entries []entry, there func(string) bool) []operation {
	for _, entry := range entries {
		if there(entry.key) {
			continue
		}
		if has == 0 {
			patch = append(patch, operation{"add", list, json.RawMessage("[" + string(entry.text) + "]")})
		} else {
			patch = append(patch, operation{"add", list + "/-", entry.text})
		}
		has++
	}
	return patch
}

func graft(pod *pod) []operation {
	var patch []operation
	if pod.Metadata.Labels["app"] != "web" || pod.Metadata.Labels["tier"] != "frontend" {
		return nil
	}
	patch = add(patch, "/spec/volumes", len(pod.Spec.Volumes), volumes, func(key string) bool {
		for _, volume := range pod.Spec.Volumes {
			if volume.Name == key {
				return true
			}
		}
		return false
	})
	for index, container := range pod.Spec.Containers {
		patch = add(patch, fmt.Sprintf("/spec/containers/%d/env", index), len(container.Env), env, func(key string) bool {
			for _, variable := range container.Env {
				if variable.Name == key {
					return true
				}
			}
			return false
		})
		patch = add(patch, fmt.Sprintf("/spec/containers/%d/volumeMounts", index), len(container.VolumeMounts), mounts, func(key string) bool {
			for _, mount := range container.VolumeMounts {
				if mount.MountPath == key {
					return true
				}
			}
			return false
		})
	}
	patch = append(patch, operation{"add", "/spec/containers/-", sidecar})
	if pod.Metadata.Annotations == nil {
		patch = append(patch, operation{"add", "/metadata/annotations", json.RawMessage("{}")})
	}
	patch = append(patch, operation{"add", "/metadata/annotations/example.com~1grafted", json.RawMessage(`"web"`)})
	return append(patch, operation{"add", "/metadata/annotations/podpreset.admission.kubernetes.io~1podpreset-web-settings", json.RawMessage(`"0123456789ab"`)})
}

func mutate(writer http.ResponseWriter, received *http.Request) {
	body, err := io.ReadAll(received.Body)
	var asked review
	if err != nil || json.Unmarshal(body, &asked) != nil || asked.Request == nil {
		http.Error(writer, "not a review", http.StatusBadRequest)
		return
	}
	answer := &response{UID: asked.Request.UID, Allowed: true}
	if patch := graft(&asked.Request.Object); patch != nil {
		answer.PatchType = "JSONPatch"
		answer.Patch, _ = json.Marshal(patch)
	}
	text, _ := json.Marshal(review{APIVersion: asked.APIVersion, Kind: asked.Kind, Response: answer})
	writer.Header().Set("Content-Type", "application/json")
	writer.Header().Set("Content-Length", strconv.Itoa(len(text)))
	writer.Write(text)
}

func main() {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	pair := tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: key}
	http.HandleFunc("/mutate", mutate)
	server := http.Server{
		Addr:         "127.0.0.1:" + os.Args[1],
		TLSConfig:    &tls.Config{Certificates: []tls.Certificate{pair}},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	panic(server.ListenAndServeTLS("", ""))
}
